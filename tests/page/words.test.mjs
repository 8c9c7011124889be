import assert from "node:assert/strict";
import test from "node:test";

import { load } from "./scripts.mjs";

const { accuracy, count, facts, inWords, nats, number, oddsInWords, percent, points, readings, seconds, shiftInWords,
  unmeasured, verdict } =
  load("words.js");

test("a share is a percentage with one decimal", () => {
  assert.deepEqual([0, 0.0006, 0.5, 0.98765, 0.9994, 1].map(percent),
    ["0.0 %", "0.1 %", "50.0 %", "98.8 %", "99.9 %", "100.0 %"]);
});

test("only nothing is 0.0 % and only all is 100.0 %", () => {
  assert.deepEqual([1e-45, 0.0004, 0.9996, 1 - 2 ** -24].map(percent), ["<0.1 %", "<0.1 %", ">99.9 %", ">99.9 %"]);
});

test("a number has three digits that count, and commas", () => {
  assert.deepEqual([0, 0.00123456, 9.876, 1234.5, -1234567].map(number), ["0", "0.00123", "9.88", "1,230", "-1,230,000"]);
});

test("one is one, everything else many", () => {
  assert.deepEqual([0, 1, 2, 12321].map((n) => count(n, "square", "squares")),
    ["0 squares", "1 square", "2 squares", "12,321 squares"]);
});

test("a time is never none, in hundredths below a second, in tenths below ten and whole above", () => {
  assert.deepEqual([0, 4, 96, 949, 960, 1000, 9949, 9950, 75_400].map(seconds),
    ["0.01 s", "0.01 s", "0.1 s", "0.95 s", "1.0 s", "1.0 s", "9.9 s", "10 s", "75 s"]);
});

test("accuracy is said to be of the net's own classes", () => {
  assert.equal(accuracy({ top1: 0.7531, images: 3925 }, 10), "75.3 % right on 3,925 pictures of its 10 classes");
  assert.equal(accuracy({ top1: 1, images: 1 }, 1), "100.0 % right on 1 picture of its 1 class");
});

test("an accuracy that nobody measured is not made up", () => {
  assert.equal(accuracy(null, 10), "accuracy not measured");
});

test("a change and log odds have their sign and one decimal", () => {
  assert.deepEqual([0.1234, 0, -0.5].map(points), ["+12.3 points", "+0.0 points", "−50.0 points"]);
  assert.deepEqual([2.06, 0, -1.25].map(nats), ["2.1 nats", "0.0 nats", "−1.3 nats"]);
  assert.deepEqual([-0.04, -0.06].map(nats), ["0.0 nats", "−0.1 nats"], "what rounds to nothing is not below it");
  assert.deepEqual([-2.4e-7, -0.0006].map(points), ["+0.0 points", "−0.1 points"]);
});

test("a square takes from a class, gives to it, or changes nothing", () => {
  assert.deepEqual([-2.06, 0.3, 0.04, -0.04].map((change) => shiftInWords(change, "Samoyed", "golden retriever")), [
    "Covering this square takes 2.1 nats from Samoyed against golden retriever.",
    "Covering this square gives Samoyed 0.3 nats against golden retriever.",
    "Covering this square changes nothing between Samoyed and golden retriever.",
    "Covering this square changes nothing between Samoyed and golden retriever.",
  ]);
});

const SQUARES = { tops: [0, 8], lefts: [0, 14], window: 10 };

function odds(unoccluded, values) {
  return oddsInWords({ unoccluded, values, worst: { row: 1, col: 0 } }, SQUARES, "Samoyed", "dingo");
}

test("two classes are told by their odds with nothing covered and by the square that takes most", () => {
  assert.equal(odds(Math.log(4), [[1, 1], [0.5, 1]]),
    "With nothing covered Samoyed is 4 times as probable as dingo: log odds of 1.4 nats. " +
    "Most is taken by the square at rows 8–17, columns 0–9: 0.9 nats from Samoyed against dingo.");
});

test("a ratio that is about one or has too many digits is told in words", () => {
  const said = (unoccluded) => odds(unoccluded, [[0, 0], [0, 0]]).split(":")[0];
  assert.equal(said(0), "With nothing covered Samoyed is about as probable as dingo");
  assert.equal(said(-0.004), "With nothing covered dingo is about as probable as Samoyed");
  assert.equal(said(-0.02), "With nothing covered dingo is 1.02 times as probable as Samoyed");
  assert.equal(said(13), "With nothing covered Samoyed is 442,000 times as probable as dingo");
  for (const beyond of [14, 104, 1000]) {
    assert.equal(said(beyond), "With nothing covered Samoyed is more than 1,000,000 times as probable as dingo");
  }
});

test("it is said where a square turns the two around", () => {
  assert.match(odds(1, [[1, 1], [-0.5, 1]]), /1\.5 nats from Samoyed against dingo, and makes dingo the more probable of the two\.$/);
});

test("a target that is the less probable is said to be that, and nothing turns around", () => {
  assert.equal(odds(-Math.log(2), [[1, 1], [-3, 1]]),
    "With nothing covered dingo is 2 times as probable as Samoyed: log odds of −0.7 nats. " +
    "Most is taken by the square at rows 8–17, columns 0–9: 2.3 nats from Samoyed against dingo.");
});

test("where no square takes anything, that is said of the two", () => {
  assert.match(odds(1, [[2, 2], [1, 2]]), /log odds of 1\.0 nats\. No square takes from Samoyed against dingo\.$/);
});

test("what rounds to nothing is taken by no square", () => {
  assert.match(odds(1, [[1, 1], [1 - 1.7e-6, 1]]), /log odds of 1\.0 nats\. No square takes from Samoyed against dingo\.$/);
  assert.match(odds(1, [[1, 1], [0.96, 1]]), /No square takes from Samoyed against dingo\.$/);
  assert.match(odds(1, [[1, 1], [0.94, 1]]), /Most is taken by the square at rows 8–17, columns 0–9: 0\.1 nats from Samoyed/);
});

/** An occlusion of two positions. */
function occlusion(found = {}) {
  const summary = { worst: { drop: 0.6, probability: 0.2 }, best: { rise: 0.1, probability: 0.9 }, flipped_share: 0.5, ...found };
  return {
    window: 10, tops: [0], lefts: [0, 14], unoccluded: 0.8, summary,
    feature: { layer: 5, feature: 17, unoccluded: 40 },
    feature_activity: [[12.345, 40]], target_probability: [[0.2, 0.9]], most_probable_class: [[3, 1]],
    classes: [{ class_index: 1, label: "tench" }, { class_index: 3, label: "beagle" }],
  };
}

const TENCH = { label: "tench" };

test("an occlusion is told by its worst square, its best one and how often the class changes", () => {
  assert.equal(inWords(occlusion(), TENCH),
    "Covering one 10-pixel square takes the probability of tench from 80.0 % down to 20.0 % at worst. " +
    "Another takes it up to 90.0 %. The most probable class becomes another one at 50.0 % of the positions.");
});

test("a rise that is hardly one is not told, nor a change that is none", () => {
  assert.equal(inWords(occlusion({ best: { rise: 0.01, probability: 0.81 }, flipped_share: 0 }), TENCH),
    "Covering one 10-pixel square takes the probability of tench from 80.0 % down to 20.0 % at worst. " +
    "The most probable class stays the same wherever it stands.");
});

test("where no square lowers the probability, that is said", () => {
  assert.equal(inWords(occlusion({ worst: { drop: 0, probability: 0.8 }, flipped_share: 0 }), TENCH),
    "No square takes the probability of tench below its 80.0 %. One takes it up to 90.0 %. " +
    "The most probable class stays the same wherever it stands.");
});

test("a fall that its percentages do not show is told as none", () => {
  const noise = { worst: { drop: 2.4e-7, probability: 0.79999976 }, flipped_share: 0 };
  assert.match(inWords(occlusion(noise), TENCH), /^No square takes the probability of tench below its 80\.0 %\. One takes it up to/);
});

test("a position's readings are its rows and columns, its numbers beside those with nothing covered, and its class", () => {
  const answer = { occlusion: occlusion(), target: TENCH };
  assert.deepEqual(readings(answer, 0, 0), [
    ["Square", "rows 0–9, columns 0–9"],
    ["Layer 5, map 17", "12.3 (unoccluded 40)"],
    ["tench", "20.0 % (−60.0 points)"],
    ["Most probable", "beagle"],
  ]);
  assert.deepEqual(readings(answer, 0, 1).map(([, text]) => text),
    ["rows 0–9, columns 14–23", "40 (unoccluded 40)", "90.0 % (+10.0 points)", "tench"]);
});

test("a cross-check agrees, disagrees, or is of what was rounded", () => {
  const found = (agrees) => ({ library: "captum", version: "0.8",
    deconv: { agrees, max_relative_difference: 0.000123 }, occlusion: { agrees, max_relative_difference: 0.5 } });
  assert.equal(verdict("deconv", TENCH, found(true)),
    "Projections agree with captum 0.8: largest difference 1.2e-4 of the largest value.");
  assert.equal(verdict("occlusion", TENCH, found(false)),
    "Occlusion maps of tench do not agree with captum 0.8: largest difference 5.0e-1 of the largest value.");
  assert.match(verdict("occlusion", TENCH, found(null)), /^Occlusion maps of tench are rounded and need not agree with captum 0\.8: largest/);
});

test("facts say where an answer comes from, and a deviation only where one was measured", () => {
  const answer = {
    request_id: "r-1",
    target: TENCH,
    model: { name: "zfnet", version: "1.0.0", device: "cpu", weights_sha256: "ab12", validation: { top1: 0.5, images: 10 } },
    image: {
      width: 360, height: 240, crop: { left: 60, top: 0, width: 240, height: 240 },
      preprocessing: { size: 224, mean: [0.5, 0.4, 0.3], std: [0.2, 0.2, 0.1] },
    },
    timing_ms: { decode: 12, occlusion: 1500 },
  };
  assert.deepEqual(facts(answer, 3), [
    ["request", "r-1"],
    ["model", "zfnet 1.0.0 on cpu"],
    ["weights", "sha256 ab12"],
    ["validation", "50.0 % right on 10 pictures of its 3 classes"],
    ["picture", "360 × 240 pixels, the square of 240 from row 0, column 60"],
    ["preprocessing", "to 224 × 224, less mean 0.5, 0.4, 0.3, over 0.2, 0.2, 0.1"],
    ["deviation", ""],
    ["time", "decode 0.01 s, occlusion 1.5 s"],
  ]);
  const deviation = (max_deviation, contrast) =>
    Object.fromEntries(facts({ ...answer, occlusion: { max_deviation, contrast } }, 3)).deviation;
  assert.equal(deviation(null), "");
  assert.equal(deviation(0), "tench at most 0.0e+0 from float32 where compared");
  assert.equal(deviation(0.0021), "tench at most 2.1e-3 from float32 where compared");
  assert.equal(deviation(0.0021, { label: "beagle", max_deviation: 0.034 }),
    "tench at most 2.1e-3, against beagle 3.4e-2 nats from float32 where compared");
});

test("of odds in a reduced precision that the server did not answer it is said that their error is unmeasured", () => {
  const said = (precision) => ` These are computed from rounded probabilities (${precision}), and nobody has measured their ` +
    "error: for that, explain again with beagle under Compare with in the options.";
  const cases = [
    [false, false, "bfloat16", said("bfloat16")],
    [false, false, "float32", said("float32")], // on a device that rounds
    [true, false, "bfloat16", ""],
    [false, true, "float32", ""],
    [true, true, "float32", ""],
  ];
  for (const [answered, exact, precision, text] of cases) {
    assert.equal(unmeasured({ answered }, { exact, precision }, "beagle"), text);
  }
});
