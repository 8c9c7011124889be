import assert from "node:assert/strict";
import test from "node:test";

import { load } from "./scripts.mjs";

const { alike, classSaid, classValue, defaultOf, differing, featuresFor, fitting, inUse, learned, squareCount, unknownSpeed, work } = load("choices.js");
const OPTIONS = Object.fromEntries(
  Object.entries({
    methods: "deconv,occlusion", target: "", layer: "5", features: "9", feature: "", window: "32", stride: "8",
    precision: "float32", crosscheck: "none",
  }).map(([name, value]) => [name, { default: value }]),
);
const OWNERS = { layer: "deconv", features: "deconv", feature: "deconv", window: "occlusion", stride: "occlusion" };

test("options are alike in any order, and not where one is missing", () => {
  assert.ok(alike({ window: "8", target: "dog" }, { target: "dog", window: "8" }));
  assert.ok(!alike({ window: "8" }, { window: "8", target: "dog" }));
  assert.ok(!alike({ window: "8", target: "dog" }, { window: "8" }));
  assert.ok(!alike({ window: "8" }, { window: "9" }));
});

/** Options as the form has them: the defaults, but for these. */
function written(changed = {}) {
  const defaults = Object.fromEntries(Object.entries(OPTIONS).map(([name, option]) => [name, option.default]));
  return { ...defaults, ...changed };
}

test("options of a method that is off are left out, and those of none stay", () => {
  assert.deepEqual(Object.keys(inUse(written({ methods: "deconv" }), OWNERS)),
    ["methods", "target", "layer", "features", "feature", "precision", "crosscheck"]);
  assert.deepEqual(Object.keys(inUse(written({ methods: "occlusion" }), OWNERS)),
    ["methods", "target", "window", "stride", "precision", "crosscheck"]);
  assert.deepEqual(inUse(written(), OWNERS), written());
});

test("only what differs from its default is sent", () => {
  assert.deepEqual(differing(written(), OPTIONS), {});
  assert.deepEqual(differing(written({ target: "tench", layer: "" }), OPTIONS), { target: "tench", layer: "" });
});

test("a file is asked for without what it has no place for", () => {
  const options = { top_k: "3", others: "2", window: "9" };
  assert.deepEqual(fitting(options, "npz"), { window: "9" });
  for (const format of ["json", "png", "html"]) assert.deepEqual(fitting(options, format), options);
});

test("chosen maps stand in place of the strongest", () => {
  assert.deepEqual(differing(written({ feature: "3, 4", features: "2" }), OPTIONS), { feature: "3, 4" });
  assert.deepEqual(differing(written({ features: "2" }), OPTIONS), { features: "2" });
});

test("the stride's default follows a window that is smaller", () => {
  const stride = (window) => defaultOf("stride", { window }, OPTIONS);
  assert.deepEqual(["32", "8", "4", "1", "", "wide", undefined].map(stride), ["8", "8", "4", "1", "8", "8", "8"]);
  assert.equal(defaultOf("window", { window: "4" }, OPTIONS), "32");
  assert.deepEqual(differing(written({ window: "4", stride: "4" }), OPTIONS), { window: "4" });
  assert.deepEqual(differing(written({ window: "4", stride: "2" }), OPTIONS), { window: "4", stride: "2" });
});

test("all layers have as many maps each as fit together, and no more than were wanted", () => {
  assert.deepEqual([1, 5, 7, 8, 13, 64].map((layers) => featuresFor(layers, "9", 64)), ["9", "9", "9", "8", "4", "1"]);
  assert.equal(featuresFor(13, "2", 64), "2");
  assert.equal(featuresFor(65, "9", 64), "1", "never none: the server says what is too much");
});

test("a class is said by its label or synset in any case, and by its index where no class has that name", () => {
  const classes = [["n01", "tench"], ["n02", "golf ball"], ["0", "dog"], ["n04", "7"]].map(([synset, label]) => ({ synset, label }));
  const said = ["Tench ", "n02", "GOLF_ball", "golf  ball", "1", "0", "7", "3", "", "second", "nobody"].map((text) => classSaid(text, classes));
  assert.deepEqual(said, [0, 1, 1, 1, 1, 2, 3, 3, null, null, null]);
});

test("a class is written so that the server reads that class and no other", () => {
  const classes = [["n01", "tench"], ["n02", "Golf_ball"], ["n03", "golf ball"], ["n04", "Second"], ["n05", "n01"], ["Cat", "Cat"], ["cat", "cat"]]
    .map(([synset, label]) => ({ synset, label }));
  const said = classes.map(({ synset }, index) => classValue({ class_index: index, synset }, classes));
  assert.deepEqual(said, ["tench", "Golf_ball", "golf ball", "n04", "n05", "Cat", "cat"]);
  assert.deepEqual(said.map((text) => classSaid(text, classes)), [0, 1, 2, 3, 4, 5, 6]);
});

test("a class of a net that is served no longer is said by its synset", () => {
  const classes = [{ synset: "n01", label: "tench" }];
  assert.equal(classValue({ class_index: 0, synset: "n07" }, classes), "n07");
  assert.equal(classValue({ class_index: 9, synset: "n09" }, classes), "n09");
});

test("squares are counted with the one more that a margin gets", () => {
  const squares = (window, stride) => squareCount({ window, stride }, 224);
  assert.equal(squares("32", "8"), 625);
  assert.equal(squares("224", "224"), 1);
  assert.equal(squares("56", "56"), 16);
  assert.equal(squares("56", "55"), 25, "0, 55, 110, 165 and 168");
  assert.equal(squares("1", "1"), 224 ** 2);
});

test("a window or a stride that does not fit gives no squares", () => {
  for (const [window, stride] of [["225", "8"], ["0", "1"], ["32", "0"], ["32", "33"], ["", "8"], ["32", ""], ["a", "8"]]) {
    assert.equal(squareCount({ window, stride }, 224), null, `window ${window}, stride ${stride}`);
  }
  assert.equal(squareCount({}, 224), null);
});

test("an explanation's work is its squares and projections, of unknown length before the first answer", () => {
  const at = (changed) => work(written(changed), 224, unknownSpeed());
  assert.deepEqual(at({}), { squares: 625, projections: 9, ms: null });
  assert.deepEqual(at({ layer: "1,2,5", features: "4" }), { squares: 625, projections: 12, ms: null });
  assert.deepEqual(at({ layer: "1,2", feature: "7, 9, 11" }), { squares: 625, projections: 6, ms: null });
  assert.deepEqual(at({ methods: "deconv" }), { squares: 0, projections: 9, ms: null });
  assert.deepEqual(at({ methods: "occlusion", window: "999" }), { squares: 0, projections: 0, ms: 0 });
});

const ANSWER = {
  timing_ms: { occlusion: 800, deconv: 30, encode: 10 },
  occlusion: { rows: 4, cols: 4 },
  deconv: { layers: [{ features: [{}, {}] }, { features: [{}, {}] }] },
};

test("an answer tells how long the next one takes", () => {
  const speed = learned(unknownSpeed(), ANSWER, written());
  assert.deepEqual(work(written(), 224, speed), { squares: 625, projections: 9, ms: 625 * 50 + 9 * 10 });
});

test("squares are known by how they were computed, a cross-check's time with them", () => {
  const plain = learned(unknownSpeed(), ANSWER, written());
  assert.equal(work(written({ crosscheck: "captum" }), 224, plain).ms, null);
  assert.equal(work(written({ precision: "bfloat16" }), 224, plain).ms, null);
  const checked = { ...ANSWER, timing_ms: { ...ANSWER.timing_ms, crosscheck: 1600 } };
  const both = learned(plain, checked, written({ crosscheck: "captum" }));
  assert.equal(work(written({ crosscheck: "captum", methods: "occlusion" }), 224, both).ms, 625 * 150);
  assert.equal(work(written({ methods: "occlusion" }), 224, both).ms, 625 * 50);
  assert.equal(work(written({ crosscheck: "captum", methods: "occlusion" }), 224, plain).ms, null, "what was known stays as it was");
});

test("an answer of one method says nothing of the other, and the latest counts", () => {
  const half = learned(unknownSpeed(), { ...ANSWER, occlusion: null }, written({ methods: "deconv" }));
  assert.equal(work(written({ methods: "deconv" }), 224, half).ms, 90);
  assert.equal(work(written(), 224, half).ms, null);
  const slower = learned(half, { ...ANSWER, timing_ms: { ...ANSWER.timing_ms, deconv: 70 } }, written());
  assert.equal(work(written({ methods: "deconv" }), 224, slower).ms, 180);
});
