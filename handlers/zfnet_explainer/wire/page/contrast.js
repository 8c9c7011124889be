// Why one class and not another: their log odds over the squares, and every class's probability under the square.

const contrast = { maps: [], listed: [], map: null, other: null, odds: null, colour: null };
const STANDINGS = 20; // a net may have a thousand classes, and the pointer moves often

/** Compare the answer's target: with `wanted` (a class index) where it can be, else with the most probable other class. */
function showContrast({ occlusion, target }, wanted) {
  contrast.maps = occlusion.by_class;
  contrast.map = contrast.maps.find((map) => map.class_index === target.class_index);
  contrast.other = rival(contrast.maps, target.class_index, wanted);
  contrast.listed = listed(contrast.maps, [contrast.map, contrast.other], STANDINGS);
  const more = contrast.maps.length - contrast.listed.length;
  show("standings-more", more > 0);
  $("standings-more").textContent = `${count(more, "more class is", "more classes are")} in the JSON.`;
  show("contrast", contrast.other !== null);
  if (!contrast.other) return;
  contrast.odds = logOdds(contrast.map, contrast.other, occlusion.contrast);
  const others = contrast.maps.filter((map) => map !== contrast.map);
  $("compare").replaceChildren(...others.map((map) => element("option", { value: map.class_index }, map.label)));
  $("compare").value = contrast.other.class_index;
  $("contrast-title").textContent = `${contrast.map.label} against ${contrast.other.label}`;
  const { odds, map: { label }, other: { label: other } } = contrast;
  $("contrast-text").textContent = oddsInWords(odds, occlusion, label, other) + unmeasured(odds, occlusion, other);
  showOddsScale();
}

/** Red to blue, told apart with any colour vision: towards the other class, and towards the target. */
function showOddsScale() {
  const { unoccluded, reach } = contrast.odds;
  const [low, high] = [unoccluded - reach, unoccluded + reach];
  contrast.colour = colourScale("contrast-scale", { low, high, unoccluded, colours: settings.colours.diverging, format: nats });
  const towards = [`◀ ${contrast.other.label}`, `${contrast.map.label} ▶`];
  $("contrast-scale").append(element("div", { className: "ends towards" }, ...towards.map((text) => element("span", null, text))));
}

/** What the square at this position does to the two, or nothing where there is no other. */
function contrastInWords(row, col) {
  if (!contrast.other) return "";
  const change = contrast.odds.values[row][col] - contrast.odds.unoccluded;
  return shiftInWords(change, contrast.map.label, contrast.other.label);
}

function readContrast(row, col) {
  $("contrast-here").textContent = contrastInWords(row, col);
  $("standings").replaceChildren(
    ...contrast.listed.map((map) => (map.probability ? standing(map, map.probability[row][col]) : untold(map))),
  );
}

/** A class of which the answer has odds alone. */
function untold({ label }) {
  return element("li", null, element("span", null, label), element("span", { className: "value quiet" }, "not in this answer"));
}

/** A class's bar under the square, a mark where it ends with nothing covered. */
function standing({ label, unoccluded }, probability) {
  const [fill, mark] = [element("span"), element("i")];
  fill.style.width = `${100 * probability}%`;
  mark.style.left = `${100 * unoccluded}%`;
  return element("li", null,
    element("span", null, label),
    element("span", { className: "value" }, percent(probability), " ",
      element("span", { className: "quiet" }, points(probability - unoccluded))),
    element("span", { className: "bar" }, fill, mark),
  );
}
