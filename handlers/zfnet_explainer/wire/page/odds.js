// Classes against each other over the squares, from the probabilities that an answer has: no request is needed.

const LEAST = 2 ** -149; // float32's smallest number: a probability that was rounded to zero is no more than this

/** An answer whose `by_class` has the target too, and the class it was contrasted with, where they are not predicted. */
function completed(answer) {
  const { occlusion, target } = answer;
  if (!occlusion) return answer;
  const { unoccluded, target_probability: probability, contrast } = occlusion;
  const maps = [...occlusion.by_class, { ...target, unoccluded, probability }];
  if (contrast) {
    const { log_odds: odds, unoccluded: clean, ...named } = contrast;
    const against = (p, logOdds) => Math.max(p, LEAST) * Math.exp(-logOdds);
    maps.push({ ...named, unoccluded: against(unoccluded, clean), probability: pairwise(probability, odds, against) });
  }
  const first = (map, i) => maps.findIndex(({ class_index: index }) => index === map.class_index) === i;
  return { ...answer, occlusion: { ...occlusion, by_class: maps.filter(first) } };
}

/** A completed answer as it were for another class, or null where it has too little for that. */
function answerFor(answer, index) {
  const { occlusion, predictions } = answer;
  const map = (occlusion?.by_class ?? predictions).find((one) => one.class_index === index);
  if (!map) return null;
  const { class_index, synset, label } = map;
  const target = { class_index, synset, label, probability: occlusion ? map.unoccluded : map.probability };
  return occlusion ? { ...answer, target, occlusion: occlusionFor(occlusion, map) } : { ...answer, target };
}

function occlusionFor(occlusion, { unoccluded, probability }) {
  const [worst, best] = [extreme(occlusion, probability, Math.min), extreme(occlusion, probability, Math.max)];
  const summary = {
    ...occlusion.summary,
    worst: { ...worst, drop: unoccluded - worst.probability },
    best: { ...best, rise: best.probability - unoccluded },
  };
  return { ...occlusion, unoccluded, target_probability: probability, summary };
}

/** The square of the lowest or highest value, the first in reading order. */
function extreme({ tops, lefts }, probability, choose) {
  const values = probability.flat();
  const at = values.indexOf(choose(...values));
  return { top: tops[Math.floor(at / lefts.length)], left: lefts[at % lefts.length], probability: values[at] };
}

/** log p(map) - log p(other) in nats: unoccluded, over the squares, how far it goes from unoccluded, and where it is lowest. */
function logOdds(map, other) {
  const of = (p, q) => Math.log(Math.max(p, LEAST)) - Math.log(Math.max(q, LEAST));
  const unoccluded = of(map.unoccluded, other.unoccluded);
  const values = pairwise(map.probability, other.probability, of);
  const flat = values.flat();
  const at = flat.indexOf(Math.min(...flat));
  const reach = Math.max(...flat.map((value) => Math.abs(value - unoccluded))) || 1;
  return { unoccluded, values, reach, worst: { row: Math.floor(at / values[0].length), col: at % values[0].length } };
}

function pairwise(grid, other, of) {
  return grid.map((values, row) => values.map((value, col) => of(value, other[row][col])));
}

/** The class that a target is compared with: the one wanted, else the most probable of the others; null where it is alone. */
function rival(maps, target, wanted) {
  const others = maps.filter(({ class_index: index }) => index !== target);
  const probable = others.reduce((most, one) => (most && most.unoccluded >= one.unoccluded ? most : one), null);
  return others.find(({ class_index: index }) => index === wanted) ?? probable;
}
