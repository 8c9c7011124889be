// Whether a WebP is to be turned: the server does as its EXIF says, and Chromium shows it as it is stored.

const ORIENTATION = 0x0112;

function isTurnedWebp(file) {
  try {
    if (!says(file, 0, "RIFF") || !says(file, 8, "WEBP")) return false;
    const exif = exifOf(file);
    return exif !== null && isTurned(exif);
  } catch (error) {
    if (error instanceof RangeError) return false; // cut off or damaged
    throw error;
  }
}

function says(view, at, word) {
  return [...word].every((letter, i) => view.getUint8(at + i) === letter.charCodeAt(0));
}

/** What the chunk of that name has, less the prefix that some programs write. */
function exifOf(file) {
  for (let at = 12; at + 8 <= file.byteLength; ) {
    const [start, size] = [at + 8, file.getUint32(at + 4, true)];
    if (says(file, at, "EXIF")) {
      const prefix = says(file, start, "Exif\0\0") ? 6 : 0;
      return new DataView(file.buffer, start + prefix, size - prefix);
    }
    at = start + size + (size % 2);
  }
  return null;
}

function isTurned(exif) {
  const little = says(exif, 0, "II");
  const start = exif.getUint32(4, little);
  for (let i = 0; i < exif.getUint16(start, little); i++) {
    const at = start + 2 + 12 * i;
    const value = exif.getUint16(at + 8, little);
    if (exif.getUint16(at, little) === ORIENTATION) return value > 1 && value < 9;
  }
  return false;
}
