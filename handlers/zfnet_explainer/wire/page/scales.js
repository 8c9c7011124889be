// The colour scale below a map.

/** Draw the scale from `low` to `high` with the unoccluded value marked; gives the colour of a value. */
function colourScale(id, { low = 0, high, unoccluded, colours, format }) {
  const share = (value) => (value - low) / (high - low);
  const ramp = element("div", { className: "ramp" });
  ramp.style.background = `linear-gradient(to right, ${colours.filter((_, i) => i % 15 === 0).join(", ")})`;
  const mark = element("span", { className: "mark", title: `unoccluded ${format(unoccluded)}` });
  mark.style.left = `${100 * share(unoccluded)}%`;
  ramp.append(mark);
  const ends = [low === 0 ? "0" : format(low), `▲ unoccluded ${format(unoccluded)}`, format(high)];
  $(id).replaceChildren(ramp, element("div", { className: "ends" }, ...ends.map((text) => element("span", null, text))));
  return (value) => shade(share(value), colours);
}
