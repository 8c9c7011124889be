import assert from "node:assert/strict";
import test from "node:test";

import { load } from "./scripts.mjs";

const { named, sharedLabels } = load("names.js");
const CLASSES = [["n01", "crane"], ["n02", "Crane"], ["n03", "crane"], ["n04", "כלב"], ["n05", "كلب"], ["n06", "كلب"]]
  .map(([synset, label]) => ({ synset, label }));

test("labels are shared where several classes have them, letter for letter", () => {
  assert.deepEqual(sharedLabels(CLASSES), new Set(["crane", "كلب"]));
  assert.deepEqual(sharedLabels(CLASSES.slice(0, 2)), new Set());
});

test("a shared label has its synset behind it, one from right to left is set apart", () => {
  assert.deepEqual(named(CLASSES, sharedLabels(CLASSES)).map(({ label }) => label),
    ["crane (n01)", "Crane", "crane (n03)", "\u2068כלב\u2069", "\u2068كلب\u2069 (n05)", "\u2068كلب\u2069 (n06)"]);
});

test("classes are named wherever they stand in an answer, and nothing else is changed", () => {
  const crane = { class_index: 2, synset: "n03", label: "crane" };
  const answer = (one) => ({
    request_id: "r", model: { name: "crane", validation: null }, target: { ...one, probability: 0.5 }, predictions: [{ rank: 1, ...one }],
    occlusion: { by_class: [{ ...one, probability: [[0.5, 1]] }], contrast: { ...one, log_odds: [[-1.5]] }, classes: [one] },
    deconv: { layers: [{ features: [{ others: [{ synset: one.synset, label: one.label, source: "crane.jpg" }] }] }] },
  });
  const given = answer(crane);
  assert.deepEqual(named(given, new Set(["crane"])), answer({ ...crane, label: "crane (n03)" }));
  assert.deepEqual(given, answer(crane), "what was answered stays as it was");
});
