// Whether a WebP is to be turned, read from its EXIF.

import assert from "node:assert/strict";
import test from "node:test";

import { load } from "./scripts.mjs";

const { isTurnedWebp } = load("webp.js");

/** A chunk of a RIFF file, padded to an even length. */
function chunk(name, data) {
  const head = Buffer.alloc(8);
  head.write(name, "latin1");
  head.writeUInt32LE(data.length, 4);
  return Buffer.concat([head, data, Buffer.alloc(data.length % 2)]);
}

function exif(orientation, little) {
  const order = little ? "49492a00080000000100" : "4d4d002a000000080001";
  const entry = little ? `1201030001000000${orientation}000000` : `011200030000000100${orientation}0000`;
  return Buffer.from(`${order}${entry}00000000`, "hex");
}

function turned(...chunks) {
  const file = chunk("RIFF", Buffer.concat([Buffer.from("WEBP"), chunk("VP8L", Buffer.alloc(5)), ...chunks]));
  return isTurnedWebp(new DataView(Uint8Array.from(file).buffer));
}

test("its EXIF says so, whatever its byte order and prefix", () => {
  for (const little of [true, false]) {
    for (const prefix of ["", "Exif\0\0"]) {
      const said = ["01", "02", "06", "08", "09"].map((one) => turned(chunk("EXIF", Buffer.concat([Buffer.from(prefix), exif(one, little)]))));
      assert.deepEqual(said, [false, true, true, true, false]);
    }
  }
});

test("without one, or where it is damaged, it is not", () => {
  assert.equal(turned(), false);
  assert.equal(turned(chunk("EXIF", exif("06", true).subarray(0, 12))), false);
  assert.equal(isTurnedWebp(new DataView(Uint8Array.from(Buffer.from("RIFF")).buffer)), false);
});
