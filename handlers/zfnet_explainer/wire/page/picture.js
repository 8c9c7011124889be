// The person's picture: read, shown whole with the net's square, and kept as the square that maps are drawn over.

const SQUARE = 896; // pixels kept of the square, enough for a map at twice its size on screen

/** Read a file; `bitmap` is null where this browser cannot show what the server may still read (TIFF). */
async function readPicture(file) {
  const blob = new Blob([await file.arrayBuffer()], { type: file.type });
  const bitmap = await createImageBitmap(blob).catch(() => null);
  return { blob, bitmap, name: file.name || "picture.png", square: null };
}

function showOriginal(picture) {
  const { bitmap } = picture;
  show("original", bitmap !== null);
  show("invitation", bitmap === null);
  if (bitmap === null) {
    $("caption").textContent = `${picture.name}: this browser cannot show it; where the server can read it, maps are drawn without the picture.`;
    return;
  }
  const scale = Math.min(1, SQUARE / Math.max(bitmap.width, bitmap.height));
  const canvas = Object.assign($("original"), { width: Math.round(bitmap.width * scale), height: Math.round(bitmap.height * scale) });
  const context = canvas.getContext("2d");
  onWhite(context, () => context.drawImage(bitmap, 0, 0, canvas.width, canvas.height));
  const seen = centreCrop(bitmap, settings.crop);
  const { left, top, width, height } = scaled(seen, scale);
  context.fillStyle = "rgb(0 0 0 / 55%)"; // what the net does not see
  context.beginPath();
  context.rect(0, 0, canvas.width, canvas.height);
  context.rect(left, top, width, height);
  context.fill("evenodd");
  $("caption").textContent = `${picture.name}, ${bitmap.width} × ${bitmap.height} pixels` +
    (bitmap.width === seen.width && bitmap.height === seen.height ? "." : "; the net sees the square in the middle.") + " Drop, paste or choose another at any time.";
}

/** Keep the square that the answer says it explains. */
function cutSquare(picture, crop) {
  const square = element("canvas", { width: SQUARE, height: SQUARE });
  const context = square.getContext("2d");
  context.imageSmoothingQuality = "high";
  onWhite(context, () => {
    if (picture.bitmap) context.drawImage(picture.bitmap, crop.left, crop.top, crop.width, crop.height, 0, 0, SQUARE, SQUARE);
  });
  picture.square = square;
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
