// Numbers and findings in words.

function percent(share) {
  return `${(100 * share).toFixed(1)} %`;
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

/** Of pictures of its classes: whatever else the net is shown, it answers with one of these. */
function accuracy({ top1, images }, classes) {
  return `${percent(top1)} right on ${count(images, "picture", "pictures")} of its ${count(classes, "class", "classes")}`;
}

/** What an occlusion found, in two sentences. */
function inWords({ summary, unoccluded, window }, target) {
  const { worst, best, flipped_share: flipped } = summary;
  const lowest =
    worst.drop > 0
      ? `Covering one ${window}-pixel square takes the probability of ${target.label} from ${percent(unoccluded)} down to ${percent(worst.probability)} at worst.`
      : `No square takes the probability of ${target.label} below its ${percent(unoccluded)}.`;
  const highest = best.rise > 0.01 ? ` ${worst.drop > 0 ? "Another" : "One"} takes it up to ${percent(best.probability)}.` : "";
  const flips = flipped > 0 ? `becomes another one at ${percent(flipped)} of the positions` : "stays the same wherever it stands";
  return `${lowest}${highest} The most probable class ${flips}.`;
}

/** One position's numbers, with nothing covered beside them: pairs of a term and its text. */
function readings({ occlusion, target }, row, col) {
  const { feature, tops, lefts, window } = occlusion;
  const [top, left] = [tops[row], lefts[col]];
  const probability = occlusion.target_probability[row][col];
  const change = 100 * (probability - occlusion.unoccluded);
  const most = occlusion.most_probable_class[row][col];
  return [
    ["Square", `rows ${top}–${top + window - 1}, columns ${left}–${left + window - 1}`],
    [`Layer ${feature.layer}, map ${feature.feature}`,
      `${number(occlusion.feature_activity[row][col])} of ${number(feature.unoccluded)} unoccluded`],
    [target.label, `${percent(probability)} (${change < 0 ? "−" : "+"}${Math.abs(change).toFixed(1)} points)`],
    ["Most probable", occlusion.classes.find((c) => c.class_index === most).label],
  ];
}

/** What the cross-check of one method found. */
function verdict(method, { library, version, [method]: { agrees, max_relative_difference: difference } }) {
  const found = agrees === null ? "of a reduced precision, compared" : agrees ? "agree" : "do not agree";
  return `${method === "deconv" ? "Projections" : "Occlusion maps"} ${found} with ${library} ` +
    `${version}: largest difference ${difference.toExponential(1)} of the largest value.`;
}

/** Where an answer comes from: pairs of a term and its text. */
function facts({ request_id, model, image, timing_ms, occlusion }, classes) {
  const { crop, preprocessing } = image;
  const deviation = occlusion?.max_deviation;
  return [
    ["request", request_id],
    ["model", `${model.name} ${model.version} on ${model.device}`],
    ["weights", `sha256 ${model.weights_sha256}`],
    ["validation", accuracy(model.validation, classes)],
    ["picture", `${image.width} × ${image.height} pixels, the square of ${crop.width} from row ${crop.top}, column ${crop.left}`],
    ["preprocessing", `to ${preprocessing.size} × ${preprocessing.size}, less mean ${preprocessing.mean.join(", ")}, over ${preprocessing.std.join(", ")}`],
    ["deviation", deviation == null ? "" : `at most ${deviation.toExponential(1)} from float32 where compared`],
    ["time", Object.entries(timing_ms).map(([stage, ms]) => `${stage} ${seconds(ms)}`).join(", ")],
  ];
}
