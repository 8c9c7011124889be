// Figure 7's maps in place of the person's picture or fading into it, and the square that the pointer or the arrow keys move.

const view = { answer: null, picture: null, row: 0, col: 0, pinned: false, opacity: 1, drawing: false };
const MAPS = ["map-activity", "map-probability", "map-class", "map-contrast"];

/** Show a new answer, compared with the class of the index `wanted`, the square at its worst position. */
function showOcclusion(answer, picture, wanted) {
  showMaps(answer, picture, wanted);
  if (!answer.occlusion) return;
  $("spoken").textContent = "";
  goToWorst();
}

/** Show the same answer for another class, the square and the class that is compared with where they were. */
function switchMaps(answer) {
  showMaps(answer, view.picture, contrast.other?.class_index);
  if (!answer.occlusion) return;
  select(view.row, view.col, view.pinned);
  speak(inWords(answer.occlusion, answer.target));
}

function showMaps(answer, picture, wanted) {
  show("occlusion", Boolean(answer.occlusion));
  if (!answer.occlusion) return;
  Object.assign(view, { answer, picture, fill: fillColour(answer) });
  const { occlusion, target } = answer;
  view.rowEdges = cellEdges(occlusion.tops, occlusion.window);
  view.colEdges = cellEdges(occlusion.lefts, occlusion.window);
  view.legend = classLegend(occlusion.classes, settings.colours);
  const { feature, unoccluded } = occlusion;
  const scales = [
    ["activity", occlusion.feature_activity, feature.unoccluded, settings.colours.viridis, number],
    ["probability", occlusion.target_probability, unoccluded, settings.colours.cividis, percent],
  ];
  for (const [name, grid, clean, colours, format] of scales) {
    const high = brightest(grid, clean);
    view[name] = colourScale(`${name}-scale`, { high, unoccluded: clean, colours, format });
  }
  $("activity-title").textContent = `Layer ${feature.layer}, map ${feature.feature}`;
  $("probability-title").textContent = target.label;
  $("flipped").textContent = `changes at ${percent(occlusion.summary.flipped_share)}`;
  $("square-caption").textContent = `${occlusion.window} × ${occlusion.window} px, ${WORDS[occlusion.fill] ?? occlusion.fill}`;
  $("occlusion-text").textContent = inWords(occlusion, target);
  showLegend();
  showContrast(answer, wanted);
}

function showLegend() {
  $("legend").replaceChildren(
    ...view.legend.map(({ colour, label, positions }) => {
      const swatch = element("span", { className: "swatch" });
      swatch.style.background = colour;
      return element("li", null, swatch, element("span", null, label), element("span", { className: "quiet" }, positions.toLocaleString("en")));
    }),
  );
}

/** Draw all of them, and the square's numbers, once before the next frame, however often it moves until then. */
function redrawMaps() {
  if (view.drawing || !view.answer || $("occlusion").hidden) return;
  view.drawing = true;
  requestAnimationFrame(() => {
    view.drawing = false;
    const { occlusion } = view.answer;
    const { tops, lefts, summary: { worst } } = occlusion;
    const classColour = new Map(view.legend.flatMap(({ colour, indices }) => indices.map((i) => [i, colour])));
    drawMap("map-activity", (row, col) => view.activity(occlusion.feature_activity[row][col]), worst);
    drawMap("map-probability", (row, col) => view.probability(occlusion.target_probability[row][col]), worst);
    drawMap("map-class", (row, col) => classColour.get(occlusion.most_probable_class[row][col]), worst);
    if (contrast.other) {
      const { values, worst: { row: lowest, col: leftmost } } = contrast.odds;
      drawMap("map-contrast", (row, col) => contrast.colour(values[row][col]), { top: tops[lowest], left: lefts[leftmost] });
    }
    drawSquare();
    $("readout").classList.toggle("pinned", view.pinned);
    $("readout").replaceChildren(...terms(readings(view.answer, view.row, view.col)));
    readContrast(view.row, view.col);
  });
}

/** A map in its colours, a cross in the square `worst`, and the chosen square's outline. */
function drawMap(id, colourAt, worst) {
  const canvas = $(id);
  const scale = fitted(canvas);
  const context = canvas.getContext("2d");
  context.drawImage(view.picture.square, 0, 0, canvas.width, canvas.height);
  context.globalAlpha = view.opacity;
  // Whole pixels: cells that met within one would leave a seam.
  const [ys, xs] = [view.rowEdges, view.colEdges].map((edges) => edges.map((edge) => Math.round(edge * scale)));
  for (let row = 0; row + 1 < ys.length; row++) {
    for (let col = 0; col + 1 < xs.length; col++) {
      context.fillStyle = colourAt(row, col);
      context.fillRect(xs[col], ys[row], xs[col + 1] - xs[col], ys[row + 1] - ys[row]);
    }
  }
  context.globalAlpha = 1;
  const { left, top, window } = here();
  cross(context, scale, worst.left + window / 2, worst.top + window / 2);
  outline(context, scale, left, top, window, window);
}

/** A cross at a place in the net's pixels, cased so that it is seen on any map. */
function cross(context, scale, left, top) {
  const arm = 5 * devicePixelRatio;
  const [x, y] = [left * scale, top * scale];
  for (const [colour, wide] of [["#000", 5], ["#fff", 2.5]]) {
    context.strokeStyle = colour;
    context.lineWidth = wide * devicePixelRatio;
    context.beginPath();
    for (const slope of [-1, 1]) {
      context.moveTo(x - arm, y - slope * arm);
      context.lineTo(x + arm, y + slope * arm);
    }
    context.stroke();
  }
}

/** The picture as the net saw it, the square filled. */
function drawSquare() {
  const canvas = $("map-square");
  const scale = fitted(canvas);
  const context = canvas.getContext("2d");
  const { left, top, window } = here();
  context.drawImage(view.picture.square, 0, 0, canvas.width, canvas.height);
  context.save();
  context.beginPath();
  context.rect(left * scale, top * scale, window * scale, window * scale);
  context.clip();
  if (view.fill === null) {
    context.drawImage(blurred(view.picture.square, canvas.width, (window / 4) * scale), 0, 0);
  } else {
    context.fillStyle = view.fill;
    context.fillRect(0, 0, canvas.width, canvas.height);
  }
  context.restore();
  outline(context, scale, left, top, window, window);
}

/** What the square is covered with, as a colour; null where that is the picture, blurred. */
function fillColour({ occlusion: { fill }, image }) {
  if (fill === "blur") return null;
  if (fill === "mean") return `rgb(${image.preprocessing.mean.map((share) => Math.round(255 * share)).join(" ")})`;
  if (!CSS.supports("color", fill)) throw new Error(`how a square of the fill "${fill}" looks is not known to this page`);
  return fill;
}

function here() {
  const { tops, lefts, window } = view.answer.occlusion;
  return { top: tops[view.row], left: lefts[view.col], window };
}

function goToWorst() {
  const { tops, lefts, summary: { worst } } = view.answer.occlusion;
  select(tops.indexOf(worst.top), lefts.indexOf(worst.left));
}

/** Move the square there; one that is `pinned` stays where the pointer only passes by. */
function select(row, col, pinned = false) {
  const { rows, cols } = view.answer.occlusion;
  view.pinned = pinned;
  view.row = Math.min(rows - 1, Math.max(0, row));
  view.col = Math.min(cols - 1, Math.max(0, col));
  redrawMaps();
}

/** The row and column of the square under the pointer. */
function squareUnder({ currentTarget, clientX, clientY }) {
  const { left, top, width } = currentTarget.getBoundingClientRect();
  const pixel = settings.size / width;
  return [cellAt(view.rowEdges, (clientY - top) * pixel), cellAt(view.colEdges, (clientX - left) * pixel)];
}

function pointAt(event) {
  if (!view.answer || view.pinned || !event.isPrimary) return; // a second finger zooms
  select(...squareUnder(event));
}

/** Keep the square that is clicked, or let go of it where it is kept. Not on `pointerdown`: a thumb may be about to scroll. */
function pinAt(event) {
  if (!view.answer) return;
  const [row, col] = squareUnder(event);
  select(row, col, !(view.pinned && row === view.row && col === view.col));
}

function moveByKey(event) {
  const { row, col } = view;
  const last = Number.MAX_SAFE_INTEGER;
  const to = {
    ArrowUp: [row - 1, col], ArrowDown: [row + 1, col], ArrowLeft: [row, col - 1], ArrowRight: [row, col + 1],
    Home: [row, 0], End: [row, last], PageUp: [0, col], PageDown: [last, col],
  }[event.key];
  if (!to || !view.answer || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  select(...to);
  speakReadings();
}

/** Say it to a screen reader. */
function speak(text) {
  $("spoken").textContent = text;
}

/** That position's numbers; a pointer that moves would say too many. */
function speakReadings() {
  const numbers = readings(view.answer, view.row, view.col).map((pair) => pair.join(": "));
  speak([...numbers, contrastInWords(view.row, view.col)].filter(Boolean).join("; "));
}

function compareWith(index) {
  showContrast(view.answer, index);
  redrawMaps();
  speak($("contrast-text").textContent);
}

/** `onCompare` is told of the class that was chosen to compare with, once it is shown. */
function prepareMaps(onCompare) {
  for (const canvas of MAPS.map($)) {
    canvas.addEventListener("pointermove", pointAt);
    canvas.addEventListener("click", pinAt);
    canvas.addEventListener("keydown", moveByKey);
  }
  $("worst").addEventListener("click", () => {
    goToWorst();
    speakReadings();
  });
  $("contrast-worst").addEventListener("click", () => {
    select(contrast.odds.worst.row, contrast.odds.worst.col);
    speakReadings();
  });
  $("compare").addEventListener("change", (event) => {
    compareWith(Number(event.target.value));
    onCompare(contrast.other);
  });
  $("opacity").addEventListener("input", (event) => {
    view.opacity = event.target.value / 100;
    $("opacity-share").textContent = `${event.target.value} %`;
    redrawMaps();
  });
  new ResizeObserver(redrawMaps).observe($("occlusion"));
}
