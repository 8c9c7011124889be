// The person's picture: read, shown whole with the net's square, and kept as the square that maps are drawn over.

const SQUARE = 896; // pixels kept of the square, enough for a map at twice its size on screen
const UNSHOWN = "this browser cannot show it; where the server can read it, maps are drawn without the picture.";

/** The picture that is pasted, or null: where text is, spreadsheets lay a picture of it beside it. */
function pasted({ target, clipboardData }) {
  const [file] = clipboardData.files;
  const text = clipboardData.getData("text/plain");
  if (!file || (target instanceof Element && target.matches("input:not([type=file]), select, textarea"))) return null;
  return text && !text.includes(file.name) ? null : file; // a file's own name comes with it where it was copied as a file
}

/** Text that is dragged goes into fields, as it would without the page. */
function bringsFile({ dataTransfer }) {
  return dataTransfer.types.includes("Files");
}

/**
 * Read a file; `bitmap` is null where this browser cannot show what the server may still read (TIFF), or may not show it
 * as the server does.
 */
async function readPicture(file) {
  const content = await file.arrayBuffer();
  const blob = new Blob([content], { type: file.type });
  const bitmap = isTurnedWebp(new DataView(content)) ? null : await createImageBitmap(blob).catch(() => null);
  return { blob, bitmap, name: file.name || "picture.png", square: null };
}

/** The picture, or why it is not shown. */
function showOriginal(picture, unshown = UNSHOWN) {
  const { bitmap } = picture;
  show("original", bitmap !== null);
  show("invitation", bitmap === null);
  if (bitmap === null) {
    $("caption").textContent = `${picture.name}: ${unshown}`;
    return;
  }
  const scale = Math.min(1, SQUARE / Math.max(bitmap.width, bitmap.height));
  const [width, height] = [bitmap.width, bitmap.height].map((side) => Math.max(1, Math.round(side * scale)));
  const canvas = Object.assign($("original"), { width, height });
  canvas.classList.toggle("tiny", Math.max(width, height) < 128); // as the style sheet has it: enlarged, its pixels seen
  const context = canvas.getContext("2d");
  onWhite(context, () => context.drawImage(bitmap, 0, 0, canvas.width, canvas.height));
  const seen = centreCrop(bitmap, settings.crop);
  const inner = scaled(seen, scale);
  context.fillStyle = "rgb(0 0 0 / 55%)"; // what the net does not see
  context.beginPath();
  context.rect(0, 0, canvas.width, canvas.height);
  context.rect(inner.left, inner.top, inner.width, inner.height);
  context.fill("evenodd");
  $("caption").textContent = `${picture.name}, ${bitmap.width} × ${bitmap.height} pixels` +
    (bitmap.width === seen.width && bitmap.height === seen.height ? "." : "; the net sees the square in the middle.") + " Drop, paste or choose another at any time.";
}

/** Keep the square that the answer says it explains: white where the browser cannot show it. */
function cutSquare(picture, { width, height, crop }) {
  const { bitmap } = picture;
  if (bitmap && (bitmap.width !== width || bitmap.height !== height)) {
    // Its square would be another one.
    const sizes = `the server reads ${width} × ${height} pixels, this browser ${bitmap.width} × ${bitmap.height}`;
    bitmap.close();
    picture.bitmap = null;
    showOriginal(picture, `${sizes}; maps are drawn without the picture.`);
  }
  const square = element("canvas", { width: SQUARE, height: SQUARE });
  const context = square.getContext("2d");
  context.imageSmoothingQuality = "high";
  onWhite(context, () => {
    if (picture.bitmap) context.drawImage(picture.bitmap, crop.left, crop.top, crop.width, crop.height, 0, 0, SQUARE, SQUARE);
  });
  picture.square = square;
}

let lastBlurred = {};

/** The square as `drawBlurred` has it; that of the last call is kept, for the next place of the pointer. */
function blurred(square, side, sigma) {
  if (lastBlurred.square !== square || lastBlurred.side !== side || lastBlurred.sigma !== sigma) {
    const canvas = element("canvas", { width: side, height: side });
    drawBlurred(canvas.getContext("2d"), square, side, sigma);
    lastBlurred = { square, side, sigma, canvas };
  }
  return lastBlurred.canvas;
}

/** The square [side × side] blurred as the server blurs it: its border goes on outside, so that nothing fades there. */
function drawBlurred(context, square, side, sigma) {
  const margin = Math.ceil(3 * sigma);
  const whole = side + 2 * margin;
  const wide = extended(square, side, margin);
  if ("filter" in CanvasRenderingContext2D.prototype) {
    context.filter = `blur(${sigma}px)`;
    context.drawImage(wide, -margin, -margin);
    return;
  }
  // Safari has no filter: shrunk to two pixels a sigma, averaged along rows, then columns, and enlarged.
  const few = Math.round((2 * whole) / sigma);
  const small = element("canvas", { width: few, height: few });
  const shrunk = small.getContext("2d");
  shrunk.imageSmoothingQuality = context.imageSmoothingQuality = "high";
  shrunk.drawImage(wide, 0, 0, few, few);
  context.drawImage(averaged(averaged(small, 1, 0), 0, 1), -margin, -margin, whole, whole);
}

/** Each pixel with its neighbours along one axis, weighted by a normal distribution of two pixels. */
function averaged(source, x, y) {
  const canvas = element("canvas", { width: source.width, height: source.height });
  const context = canvas.getContext("2d");
  let sum = 0;
  for (let away = -6; away <= 6; away++) {
    const weight = Math.exp(-(away ** 2) / 8);
    sum += weight;
    context.globalAlpha = weight / sum; // what is there keeps the rest, its own share of the sum
    context.drawImage(source, away * x, away * y);
  }
  return canvas;
}

/** The square, its outermost pixels repeated for a margin on every side. */
function extended(square, side, margin) {
  const whole = side + 2 * margin;
  const canvas = element("canvas", { width: whole, height: whole });
  const context = canvas.getContext("2d");
  // Of the square, and where it goes: where each span begins, and how long it is.
  const spans = [[0, 1, 0, margin], [0, square.width, margin, side], [square.width - 1, 1, margin + side, margin]];
  for (const [top, rows, y, height] of spans) {
    for (const [left, cols, x, width] of spans) context.drawImage(square, left, top, cols, rows, x, y, width, height);
  }
  return canvas;
}

/** Transparency lies over white, as the server lays it. */
function onWhite(context, draw) {
  context.fillStyle = "#fff";
  context.fillRect(0, 0, context.canvas.width, context.canvas.height);
  draw();
}

/** Fit a square canvas to its place on screen; how many canvas pixels one pixel of the net's picture has. */
function fitted(canvas) {
  const side = Math.max(1, Math.round(canvas.clientWidth * devicePixelRatio));
  if (canvas.width !== side || canvas.height !== side) Object.assign(canvas, { width: side, height: side });
  return side / settings.size;
}

/** A rectangle of the net's pixels, cased so that it is seen on any picture. */
function outline(context, scale, left, top, width, height) {
  const thin = Math.max(1, devicePixelRatio);
  for (const [colour, wide] of [["#000", 4 * thin], ["#fff", 2 * thin]]) {
    context.strokeStyle = colour;
    context.lineWidth = wide;
    context.strokeRect(left * scale, top * scale, width * scale, height * scale);
  }
}
