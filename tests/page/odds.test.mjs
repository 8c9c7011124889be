import assert from "node:assert/strict";
import test from "node:test";

import { load } from "./scripts.mjs";

const { answerFor, completed, listed, logOdds, rival } = load("odds.js");

const NAMES = ["tench", "beagle", "church", "dingo"];

function named(index) {
  return { class_index: index, synset: `n0${index}`, label: NAMES[index] };
}

function map(index, unoccluded, probability) {
  return { ...named(index), unoccluded, probability };
}

const TENCH = map(0, 0.5, [[0.25, 0.5, 0.5], [0.125, 0.75, 0.5]]);
const BEAGLE = map(1, 0.25, [[0.5, 0.25, 0.25], [0.5, 0.125, 0.125]]);

/** An answer of two predicted classes over two rows and three columns, explained for one that may be another. */
function answer(target = TENCH, found = {}) {
  const { unoccluded, probability } = target;
  return {
    predictions: [{ ...named(0), rank: 1, probability: 0.5 }, { ...named(1), rank: 2, probability: 0.25 }],
    target: { ...named(target.class_index), probability: unoccluded },
    occlusion: {
      window: 10, tops: [0, 8], lefts: [0, 8, 14], unoccluded, target_probability: probability, by_class: [TENCH, BEAGLE],
      summary: { flipped_share: 0.5 }, ...found,
    },
  };
}

const indices = (maps) => maps.map(({ class_index: index }) => index);

test("a target that is predicted has one map, and one that is not gets its own", () => {
  assert.deepEqual(completed(answer()).occlusion.by_class, [TENCH, BEAGLE]);
  const dingo = map(3, 0.0625, [[0.1, 0.1, 0.1], [0.2, 0.2, 0.2]]);
  const { label, unoccluded, probability } = completed(answer(dingo)).occlusion.by_class[2];
  assert.deepEqual([label, unoccluded, probability], ["dingo", 0.0625, dingo.probability]);
});

test("an answer without occlusion stays as it is", () => {
  const { occlusion, ...rest } = answer();
  assert.deepEqual(completed(rest), rest);
});

test("the class that the server contrasted with is at hand too, with the log odds that it has", () => {
  const asked = { ...named(2), unoccluded: 2.5, log_odds: [[0.5, 2.5, 3], [-1.25, 4, 2.5]], worst: { top: 8, left: 0, log_odds: -1.25 } };
  const { by_class: maps } = completed(answer(TENCH, { contrast: asked })).occlusion;
  assert.deepEqual(indices(maps), [0, 1, 2]);
  const odds = logOdds(maps[0], maps[2]);
  assert.ok(Math.abs(odds.unoccluded - 2.5) < 1e-12);
  odds.values.forEach((row, r) => row.forEach((value, c) => assert.ok(Math.abs(value - asked.log_odds[r][c]) < 1e-12)));
  const already = { ...asked, ...named(1) };
  assert.deepEqual(completed(answer(TENCH, { contrast: already })).occlusion.by_class, [TENCH, BEAGLE], "once is enough");
});

test("another class has its own map, its own extremes and the answer's flips", () => {
  const { target, occlusion } = answerFor(completed(answer()), 1);
  assert.deepEqual(target, { ...named(1), probability: 0.25 });
  assert.deepEqual(occlusion.target_probability, BEAGLE.probability);
  assert.equal(occlusion.unoccluded, 0.25);
  assert.deepEqual(occlusion.summary, {
    flipped_share: 0.5,
    worst: { top: 8, left: 8, probability: 0.125, drop: 0.125 },
    best: { top: 0, left: 0, probability: 0.5, rise: 0.25 },
  }, "of equal squares the first in reading order");
});

test("a class whose map is not at hand has no answer", () => {
  assert.equal(answerFor(completed(answer()), 3), null);
});

test("without occlusion a predicted class needs no map", () => {
  const { occlusion, ...rest } = answer();
  assert.deepEqual(answerFor(rest, 1).target, { ...named(1), probability: 0.25 });
  assert.equal(answerFor(rest, 2), null);
});

test("log odds are of the one against the other, with their lowest square and how far they go from unoccluded", () => {
  const { unoccluded, values, reach, answered, worst } = logOdds(TENCH, BEAGLE);
  assert.ok(!answered);
  const [two, four, six] = [2, 4, 6].map(Math.log);
  const expected = [[-two, two, two], [-four, six, four]];
  assert.ok(Math.abs(unoccluded - two) < 1e-12);
  values.forEach((row, r) => row.forEach((value, c) => assert.ok(Math.abs(value - expected[r][c]) < 1e-12, `${r}, ${c}`)));
  assert.ok(Math.abs(reach - Math.log(8)) < 1e-12, "from log 2 down to -log 4");
  assert.deepEqual(worst, { row: 1, col: 0 });
});

test("a probability of nothing is float32's smallest", () => {
  const { unoccluded } = logOdds(map(0, 1, [[1]]), map(1, 0, [[0]]));
  assert.ok(Math.abs(unoccluded - 149 * Math.log(2)) < 1e-9);
});

test("log odds that only rounding moves reach a tenth of a nat, and what reaches further keeps its reach", () => {
  const reach = (moved) => logOdds(map(0, 0.5, [[0.5 * Math.exp(-moved)]]), map(1, 0.25, [[0.25]])).reach;
  assert.deepEqual([0, 1.7e-6, 0.09].map(reach), [0.1, 0.1, 0.1]);
  assert.ok(Math.abs(reach(0.11) - 0.11) < 1e-12);
});

/** An answer contrasted with a church whose odds no probability in float32 can tell. */
function beyond(target) {
  const asked = { ...named(2), unoccluded: 2.5, log_odds: [[-150, 140, 3], [-1.25, 4, 2.5]], worst: { top: 0, left: 0, log_odds: -150 } };
  return { asked, ...completed(answer(target, { contrast: asked })).occlusion };
}

test("odds alone tell no probability where the target's has lost its digits", () => {
  const under = (least) => beyond({ ...TENCH, probability: [[least, 0.5, 0.5], [0.125, 0.75, 0.5]] }).by_class[2];
  for (const least of [0, 2 ** -149, 2 ** -127]) {
    assert.deepEqual(under(least), { ...named(2), unoccluded: null, probability: null });
  }
  assert.deepEqual(beyond({ ...TENCH, unoccluded: 0 }).by_class[2].probability, null);
  const told = under(2 ** -126);
  assert.ok(Math.abs(told.unoccluded / (0.5 * Math.exp(-2.5)) - 1) < 1e-12);
  assert.ok(told.probability.flat().every((probability) => probability >= 0 && probability <= 1));
});

test("a class without probabilities is compared with the contrasted target alone, and has no answer of its own", () => {
  const asked = { ...named(2), unoccluded: 2.5, log_odds: [[-150, 140, 3], [-1.25, 4, 2.5]] };
  const found = completed(answer({ ...TENCH, probability: [[0, 0.5, 0.5], [0.125, 0.75, 0.5]] }, { contrast: asked }));
  assert.deepEqual(indices(answerFor(found, 1).occlusion.by_class), [0, 1]);
  assert.deepEqual(indices(answerFor(found, 0).occlusion.by_class), [0, 1, 2]);
  assert.equal(answerFor(found, 2), null);
  assert.equal(rival(found.occlusion.by_class, 0).label, "beagle", "how probable it is nobody knows");
  assert.equal(rival(found.occlusion.by_class, 0, 2).label, "church");
});

test("the pair that the server contrasted keeps its log odds, seen from either class", () => {
  const { asked, by_class: [tench, beagle, church], contrast } = beyond({ ...TENCH, probability: [[0, 0.5, 0.5], [0.125, 0.75, 0.5]] });
  const there = logOdds(tench, church, contrast);
  assert.deepEqual([there.unoccluded, there.values, there.worst], [2.5, asked.log_odds, { row: 0, col: 0 }]);
  assert.ok(there.answered);
  const back = logOdds(church, tench, contrast);
  assert.deepEqual([back.unoccluded, back.values], [-2.5, [[150, -140, -3], [1.25, -4, -2.5]]]);
  assert.deepEqual(back.worst, { row: 0, col: 1 });
  assert.deepEqual(logOdds(tench, beagle, contrast), logOdds(tench, beagle), "another pair is computed");
});

test("of many classes the first are listed, and those that are compared wherever they stand", () => {
  const many = Array.from({ length: 1000 }, (_, index) => ({ class_index: index }));
  assert.deepEqual(indices(listed(many, [many[0], many[1]], 3)), [0, 1, 2]);
  assert.deepEqual(indices(listed(many, [many[998], many[2]], 3)), [0, 1, 2, 998]);
  assert.deepEqual(indices(listed(many.slice(0, 2), [many[0], null], 3)), [0, 1]);
});

test("the rival is the wanted class, else the most probable other one, else nobody", () => {
  const dingo = map(3, 0.3, [[0.3]]);
  assert.equal(rival([TENCH, BEAGLE, dingo], 0).label, "dingo");
  assert.equal(rival([TENCH, BEAGLE, dingo], 0, 1).label, "beagle");
  assert.equal(rival([TENCH, BEAGLE, dingo], 1, 1).label, "tench", "not itself");
  assert.equal(rival([TENCH, BEAGLE, dingo], 3, 99).label, "tench");
  assert.equal(rival([TENCH], 0), null);
});
