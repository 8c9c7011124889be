// Classes against each other over the squares, from the probabilities that an answer has: no request is needed.

const LEAST = 2 ** -149; // float32's smallest number: a probability that was rounded to zero is no more than this
const NORMAL = 2 ** -126; // float32's smallest number with all its digits: one below it is too rough to reckon with
const LEAST_REACH = 0.1; // nats, as in the server's figure: rounding alone is not drawn in full colour

/**
 * An answer whose `by_class` has the target too, and the class it was contrasted with, where they are not predicted,
 * and whose contrast says of which target it is.
 */
function completed(answer) {
  const { occlusion, target } = answer;
  if (!occlusion) return answer;
  const { unoccluded, target_probability: probability, by_class: predicted } = occlusion;
  const own = { ...target, unoccluded, probability };
  const contrast = occlusion.contrast && { ...occlusion.contrast, target: target.class_index };
  const maps = [...predicted, own, ...(contrast ? [contrasted(own, contrast)] : [])];
  const first = (map, i) => maps.findIndex(({ class_index: index }) => index === map.class_index) === i;
  return { ...answer, occlusion: { ...occlusion, by_class: maps.filter(first), contrast } };
}

/**
 * The map of the class that the target was contrasted with, without probabilities where the target's are too small to
 * tell them: odds alone leave it open how probable the two are.
 */
function contrasted({ unoccluded, probability }, { class_index, synset, label, unoccluded: clean, log_odds: odds }) {
  const named = { class_index, synset, label };
  const told = [unoccluded, ...probability.flat()].every((share) => share >= NORMAL);
  if (!told) return { ...named, unoccluded: null, probability: null };
  const against = (share, logOdds) => Math.min(1, share * Math.exp(-logOdds));
  return { ...named, unoccluded: against(unoccluded, clean), probability: pairwise(probability, odds, against) };
}

/** A completed answer as it were for another class, or null where it has too little for that. */
function answerFor(answer, index) {
  const { occlusion, predictions } = answer;
  const map = (occlusion?.by_class ?? predictions).find((one) => one.class_index === index);
  if (!map || map.probability === null) return null;
  const { class_index, synset, label } = map;
  const target = { class_index, synset, label, probability: occlusion ? map.unoccluded : map.probability };
  return occlusion ? { ...answer, target, occlusion: occlusionFor(occlusion, map) } : { ...answer, target };
}

function occlusionFor(occlusion, { class_index, unoccluded, probability }) {
  const [worst, best] = [extreme(occlusion, probability, Math.min), extreme(occlusion, probability, Math.max)];
  const summary = {
    ...occlusion.summary,
    worst: { ...worst, drop: unoccluded - worst.probability },
    best: { ...best, rise: best.probability - unoccluded },
  };
  // A map without probabilities has odds against the contrasted target alone.
  const comparable = occlusion.by_class.filter((one) => one.probability || class_index === occlusion.contrast.target);
  return { ...occlusion, unoccluded, target_probability: probability, by_class: comparable, summary };
}

/** The square of the lowest or highest value, the first in reading order. */
function extreme({ tops, lefts }, probability, choose) {
  const values = probability.flat();
  const at = values.indexOf(choose(...values));
  return { top: tops[Math.floor(at / lefts.length)], left: lefts[at % lefts.length], probability: values[at] };
}

/**
 * log p(map) - log p(other) in nats: unoccluded, over the squares, how far its colours go from that, whether the server
 * answered it (else it is computed here), and where it is lowest.
 */
function logOdds(map, other, contrast) {
  const answered = answeredOdds(map, other, contrast);
  const { unoccluded, values } = answered ?? computedOdds(map, other);
  const flat = values.flat();
  const at = flat.indexOf(Math.min(...flat));
  const reach = Math.max(LEAST_REACH, ...flat.map((value) => Math.abs(value - unoccluded)));
  return { unoccluded, values, reach, answered: answered !== null, worst: { row: Math.floor(at / values[0].length), col: at % values[0].length } };
}

/** Those of the pair that the server contrasted, from logits: known too where a probability was rounded to zero. */
function answeredOdds(map, other, contrast) {
  if (!contrast) return null;
  const are = (one, another) => one.class_index === contrast.target && another.class_index === contrast.class_index;
  if (are(map, other)) return { unoccluded: contrast.unoccluded, values: contrast.log_odds };
  if (!are(other, map)) return null;
  return { unoccluded: -contrast.unoccluded, values: contrast.log_odds.map((row) => row.map((value) => -value)) };
}

function computedOdds(map, other) {
  const of = (p, q) => Math.log(Math.max(p, LEAST)) - Math.log(Math.max(q, LEAST));
  return { unoccluded: of(map.unoccluded, other.unoccluded), values: pairwise(map.probability, other.probability, of) };
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

/** The classes to list: the first `most`, and those that are compared wherever they stand. */
function listed(maps, compared, most) {
  return maps.filter((map, i) => i < most || compared.includes(map));
}
