// The hierarchy: class on top, each layer above the one it reads, pixels at the bottom.

// What Zeiler & Fergus found the layers of their net to answer to, and how many maps those have: another net's may
// answer to something else.
const PAPER = {
  maps: [96, 256, 384, 384, 256],
  findings: ["edges and colours", "corners and contours", "textures and patterns", "object parts", "whole objects and their parts"],
};
const findings = String(settings.maps) === String(PAPER.maps) ? PAPER.findings : [];
const fields = { picture: null, box: null, top: element("span", { id: "class-explained" }) };

function showProjections(answer, picture) {
  show("projections", Boolean(answer.deconv));
  if (!answer.deconv) return;
  fields.picture = picture;
  const layers = [...answer.deconv.layers].sort((a, b) => b.layer - a.layer);
  $("layers").replaceChildren(
    rung("Class", fields.top),
    ...layers.map((layer) => layerRung(layer)),
    rung("Pixels", `${settings.size} × ${settings.size}, the square the net sees`),
  );
  showTop(answer);
  chooseField(layers[0], layers[0].features[0]);
}

/** The class on top: the one part of the hierarchy that another class changes. */
function showTop({ deconv, target }) {
  if (deconv) fields.top.textContent = `${target.label}, ${percent(target.probability)}`;
}

function rung(title, text, ...content) {
  return element("section", { className: "rung" }, element("h3", null, title, " ", element("span", { className: "quiet" }, text)), ...content);
}

function layerRung(layer) {
  const found = findings[layer.layer - 1];
  const text = `${found ? `in the paper: ${found} · ` : ""}${layer.maps} maps of ${layer.size.join(" × ")}`;
  const tiles = layer.features.map((feature) => tile(layer, feature));
  return rung(`Layer ${layer.layer}`, text, element("div", { className: "tiles" }, ...tiles), ...othersOf(layer));
}

function tile(layer, feature) {
  const name = `Layer ${layer.layer}, map ${feature.feature}`;
  const button = element(
    "button",
    { type: "button", className: "tile", "aria-label": `${name}, activation ${number(feature.activation)}` },
    embedded(feature.projection, ""),
    embedded(feature.patch, ""),
    element("span", null, element("b", null, String(feature.feature)), " ", number(feature.activation)),
  );
  // Not when the pointer enters: it also does where a tile scrolls under one that rests, away from what has the focus.
  for (const event of ["pointermove", "focus", "click"]) {
    button.addEventListener(event, () => chooseField(layer, feature));
  }
  return button;
}

function othersOf(layer) {
  const rows = layer.features.filter((feature) => feature.others.length);
  if (!rows.length) return [];
  const lines = rows.map((feature) =>
    element("div", { className: "tiles others" }, element("span", { className: "quiet small" }, `map ${feature.feature}`),
      ...feature.others.map(elsewhere)),
  );
  return [element("details", null, element("summary", null, "The same maps in other images"), ...lines)];
}

/** The map's projection from another image, which is of this class and drives the map so far. */
function elsewhere({ label, activation, source, projection }) {
  return element("figure", null, embedded(projection, source), element("figcaption", null, `${label}, ${number(activation)}`));
}

function embedded(png, text) {
  return element("img", { src: `data:image/png;base64,${png}`, alt: text, title: text });
}

/** Show on the picture what a map's largest value saw. */
function chooseField(layer, feature) {
  if (fields.box === feature.receptive_field) return;
  fields.box = feature.receptive_field;
  const { top, left, bottom, right } = fields.box;
  const [row, col] = feature.position;
  $("field-caption").replaceChildren(
    element("b", null, `Layer ${layer.layer}, map ${feature.feature}`),
    ` sees rows ${top}–${bottom - 1}, columns ${left}–${right - 1} from its row ${row}, column ${col}. Activation ${number(feature.activation)}, rank ${feature.rank}.`,
  );
  redrawField();
}

function redrawField() {
  if (!fields.box || $("projections").hidden) return;
  const canvas = $("field");
  const scale = fitted(canvas);
  const context = canvas.getContext("2d");
  const { top, left, bottom, right } = fields.box;
  context.drawImage(fields.picture.square, 0, 0, canvas.width, canvas.height);
  context.fillStyle = "rgb(0 0 0 / 45%)";
  context.beginPath();
  context.rect(0, 0, canvas.width, canvas.height);
  context.rect(left * scale, top * scale, (right - left) * scale, (bottom - top) * scale);
  context.fill("evenodd");
  outline(context, scale, left, top, right - left, bottom - top);
}

function prepareProjections() {
  new ResizeObserver(redrawField).observe($("projections"));
}
