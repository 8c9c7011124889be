import assert from "node:assert/strict";
import test from "node:test";

import { load } from "./scripts.mjs";

const { brightest, cellAt, cellEdges, centreCrop, classLegend, scaled, shade } = load("grid.js");
const COLOURS = { classes: ["blue", "orange", "green"], other: "grey" };

function occurring(...positions) {
  return positions.map((n, i) => ({ class_index: 10 + i, label: `class ${10 + i}`, positions: n }));
}

test("edges lie half way between neighbouring centres, the outermost as far outside as inside", () => {
  assert.deepEqual(cellEdges([0, 8, 16], 32), [12, 20, 28, 36]);
  assert.deepEqual(cellEdges([0, 1, 2], 1), [0, 1, 2, 3]);
  assert.deepEqual(cellEdges([0, 5], 100), [47.5, 52.5, 57.5]);
});

test("edges follow a last square that is nearer than the others, of an odd side", () => {
  assert.deepEqual(cellEdges([0, 10, 20, 24], 17), [3.5, 13.5, 23.5, 30.5, 34.5]);
});

test("a lone square is its own cell", () => {
  assert.deepEqual(cellEdges([0], 224), [0, 224]);
  assert.deepEqual(cellEdges([3], 5), [3, 8]);
});

test("a position is in the cell around it, an edge in the cell that begins there, outside in the outermost", () => {
  const edges = [12, 20, 28, 36];
  const at = [-5, 12, 19.9, 20, 27.9, 28, 36, 500].map((position) => cellAt(edges, position));
  assert.deepEqual(at, [0, 0, 0, 1, 1, 2, 2, 2]);
  assert.equal(cellAt([0, 224], 100), 0);
});

test("every class has a colour of its own while there are enough", () => {
  assert.deepEqual(classLegend(occurring(5, 9, 1), COLOURS), [
    { colour: "blue", label: "class 10", positions: 5, indices: [10] },
    { colour: "orange", label: "class 11", positions: 9, indices: [11] },
    { colour: "green", label: "class 12", positions: 1, indices: [12] },
  ]);
  assert.deepEqual(classLegend(occurring(4), COLOURS).map(({ colour }) => colour), ["blue"]);
});

test("the first colour is the prediction's even where it is under no square", () => {
  assert.deepEqual(classLegend(occurring(0, 9), COLOURS).map(({ colour, indices }) => [colour, ...indices]),
    [["blue", 10], ["orange", 11]]);
  assert.deepEqual(classLegend(occurring(0, 9, 4, 1), COLOURS)[0], { colour: "blue", label: "class 10", positions: 0, indices: [10] });
});

test("of more classes than colours one fewer keeps a colour, and all others share one that is nobody's", () => {
  const legend = classLegend(occurring(5, 9, 4, 1), COLOURS);
  assert.deepEqual(legend.map(({ colour }) => colour), ["blue", "orange", "grey"]);
  assert.deepEqual(legend.at(-1), { colour: "grey", label: "2 other classes", positions: 5, indices: [12, 13] });
  assert.deepEqual(classLegend(occurring(1, 1, 1, 1, 1, 1), COLOURS).at(-1).indices, [12, 13, 14, 15]);
});

test("the brightest value is the highest of a map and of what nothing covers, and never zero", () => {
  assert.equal(brightest([[0.1, 0.7], [0.2, 0.3]], 0.5), 0.7);
  assert.equal(brightest([[0.1, 0.2]], 0.5), 0.5);
  assert.equal(brightest([[0, 0]], 0), 1);
});

test("a share's colour is the nearest of the table's, its ends beyond them", () => {
  const table = Array.from({ length: 256 }, (_, level) => level);
  const shares = [-1, 0, 0.001, 0.003, 0.5, 0.999, 1, 7];
  assert.deepEqual(shares.map((share) => shade(share, table)), [0, 0, 0, 1, 128, 255, 255, 255]);
});

test("the crop is the square in the middle, an odd pixel more on its right and below", () => {
  assert.deepEqual(centreCrop({ width: 360, height: 240 }, 1), { left: 60, top: 0, width: 240, height: 240 });
  assert.deepEqual(centreCrop({ width: 7, height: 10 }, 1), { left: 0, top: 1, width: 7, height: 7 });
  assert.deepEqual(centreCrop({ width: 360, height: 240 }, 0.875), { left: 75, top: 15, width: 210, height: 210 });
});

test("a box is scaled on every side", () => {
  assert.deepEqual(scaled({ left: 3, top: 0, width: 8, height: 5 }, 0.5), { left: 1.5, top: 0, width: 4, height: 2.5 });
});
