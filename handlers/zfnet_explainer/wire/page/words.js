// Numbers, choices and findings in words.

// What the page calls a value of the API.
const WORDS = {
  deconv: "projections", occlusion: "occlusion", none: "none", captum: "Captum",
  gray: "grey", mean: "the training mean", blur: "the picture, blurred", colour: "a colour …", float32: "float32 (exact)",
};

const MANY = 1e6; // above it the ratio of two probabilities has too many digits to be read

/** With one decimal; what only rounds to nothing or to all is told as less than that. */
function percent(share) {
  const rounded = (100 * share).toFixed(1);
  if (share > 0 && rounded === "0.0") return "<0.1 %";
  if (share < 1 && rounded === "100.0") return ">99.9 %";
  return `${rounded} %`;
}

function number(value) {
  return Number(value).toLocaleString("en", { maximumSignificantDigits: 3 });
}

function count(total, one, many) {
  return `${total.toLocaleString("en")} ${total === 1 ? one : many}`;
}

function seconds(ms) {
  return ms < 950 ? `${Math.max(1, Math.round(ms / 10)) / 100} s` : `${(ms / 1000).toFixed(ms < 9950 ? 1 : 0)} s`;
}

/** Whether a number with one decimal is below zero: one that rounds to nothing is not. */
function negative(value) {
  return Number(value.toFixed(1)) < 0;
}

/** A difference of two shares, its sign always there. */
function points(change) {
  return `${negative(100 * change) ? "−" : "+"}${Math.abs(100 * change).toFixed(1)} points`;
}

/** Log odds, natural: 1 nat more multiplies odds by 2.7. */
function nats(value) {
  return `${negative(value) ? "−" : ""}${Math.abs(value).toFixed(1)} nats`;
}

/** Of pictures of its classes: whatever else the net is shown, it answers with one of these. */
function accuracy(validation, classes) {
  if (!validation) return "accuracy not measured";
  const { top1, images } = validation;
  return `${percent(top1)} right on ${count(images, "picture", "pictures")} of its ${count(classes, "class", "classes")}`;
}

/** What an occlusion found, in two sentences. */
function inWords({ summary, unoccluded, window }, target) {
  const { worst, best, flipped_share: flipped } = summary;
  const falls = worst.drop > 0 && percent(worst.probability) !== percent(unoccluded);
  const lowest =
    falls
      ? `Covering one ${window}-pixel square takes the probability of ${target.label} from ${percent(unoccluded)} down to ${percent(worst.probability)} at worst.`
      : `No square takes the probability of ${target.label} below its ${percent(unoccluded)}.`;
  const highest = best.rise > 0.01 ? ` ${falls ? "Another" : "One"} takes it up to ${percent(best.probability)}.` : "";
  const flips = flipped > 0 ? `becomes another one at ${percent(flipped)} of the positions` : "stays the same wherever it stands";
  return `${lowest}${highest} The most probable class ${flips}.`;
}

/** What covering one square does to a class against another, `change` in nats. */
function shiftInWords(change, label, other) {
  const size = nats(Math.abs(change));
  if (size === nats(0)) return `Covering this square changes nothing between ${label} and ${other}.`;
  return change < 0
    ? `Covering this square takes ${size} from ${label} against ${other}.`
    : `Covering this square gives ${label} ${size} against ${other}.`;
}

/** How a class stands to one that is so many times rarer. */
function timesAs(ratio) {
  if (ratio > MANY) return `more than ${number(MANY)} times as probable as`;
  return number(ratio) === "1" ? "about as probable as" : `${number(ratio)} times as probable as`;
}

/** Two classes with nothing covered, and what the square that takes most does to them. */
function oddsInWords({ unoccluded, values, worst }, { tops, lefts, window }, label, other) {
  const [likelier, rarer] = unoccluded < 0 ? [other, label] : [label, other];
  const clean = `With nothing covered ${likelier} is ${timesAs(Math.exp(Math.abs(unoccluded)))} ${rarer}: ` +
    `log odds of ${nats(unoccluded)}.`;
  const least = values[worst.row][worst.col];
  const taken = nats(unoccluded - least);
  if (least >= unoccluded || taken === nats(0)) return `${clean} No square takes from ${label} against ${other}.`;
  const turned = unoccluded > 0 && least < 0 ? `, and makes ${other} the more probable of the two` : "";
  return `${clean} Most is taken by the square at ${extent(tops[worst.row], lefts[worst.col], window)}: ` +
    `${taken} from ${label} against ${other}${turned}.`;
}

/** That nobody knows how far off odds are which the page reckoned from rounded probabilities; nothing where that is not so. */
function unmeasured({ answered }, { exact, precision }, other) {
  if (answered || exact) return "";
  return ` These are computed from rounded probabilities (${precision}), and nobody has measured their error: ` +
    `for that, explain again with ${other} under Compare with in the options.`;
}

function extent(top, left, window) {
  return `rows ${top}–${top + window - 1}, columns ${left}–${left + window - 1}`;
}

/** One position's numbers, with nothing covered beside them: pairs of a term and its text. */
function readings({ occlusion, target }, row, col) {
  const { feature, tops, lefts, window } = occlusion;
  const [top, left] = [tops[row], lefts[col]];
  const probability = occlusion.target_probability[row][col];
  const most = occlusion.most_probable_class[row][col];
  return [
    ["Square", extent(top, left, window)],
    [`Layer ${feature.layer}, map ${feature.feature}`,
      `${number(occlusion.feature_activity[row][col])} (unoccluded ${number(feature.unoccluded)})`],
    [target.label, `${percent(probability)} (${points(probability - occlusion.unoccluded)})`],
    ["Most probable", occlusion.classes.find((c) => c.class_index === most).label],
  ];
}

/** What the cross-check of one method found; occlusion's is of the class that was asked for. */
function verdict(method, target, { library, version, [method]: { agrees, max_relative_difference: difference } }) {
  const found = agrees === null ? "are rounded and need not agree" : agrees ? "agree" : "do not agree";
  return `${method === "deconv" ? "Projections" : `Occlusion maps of ${target.label}`} ${found} with ${library} ` +
    `${version}: largest difference ${difference.toExponential(1)} of the largest value.`;
}

/** How far a reduced precision is off; nothing where the evaluation is exact. */
function deviation(occlusion, target) {
  const { max_deviation: off, contrast } = occlusion ?? {};
  if (off == null) return "";
  const odds = contrast ? `, against ${contrast.label} ${contrast.max_deviation.toExponential(1)} nats` : "";
  return `${target.label} at most ${off.toExponential(1)}${odds} from float32 where compared`;
}

/** Where an answer comes from: pairs of a term and its text. */
function facts({ request_id, model, image, timing_ms, occlusion, target }, classes) {
  const { crop, preprocessing } = image;
  return [
    ["request", request_id],
    ["model", `${model.name} ${model.version} on ${model.device}`],
    ["weights", `sha256 ${model.weights_sha256}`],
    ["validation", accuracy(model.validation, classes)],
    ["picture", `${image.width} × ${image.height} pixels, the square of ${crop.width} from row ${crop.top}, column ${crop.left}`],
    ["preprocessing", `to ${preprocessing.size} × ${preprocessing.size}, less mean ${preprocessing.mean.join(", ")}, over ${preprocessing.std.join(", ")}`],
    ["deviation", deviation(occlusion, target)],
    ["time", Object.entries(timing_ms).map(([stage, ms]) => `${stage} ${seconds(ms)}`).join(", ")],
  ];
}
