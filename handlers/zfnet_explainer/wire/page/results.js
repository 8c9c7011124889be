// What stands around the maps: predictions, cross-check, notes and conventions, facts, files to take along.

function showModel(model) {
  const { name, version, validation, device } = model;
  $("model").textContent =
    `${name} ${version} · ${percent(validation.top1)} right on ${count(validation.images, "validation image", "validation images")} · ${device}`;
}

/** Predictions as buttons: each explains the answer for its class. */
function showPredictions(predictions, target, onChoose) {
  show("predictions-empty", false);
  show("predictions-help");
  $("predictions").replaceChildren(
    ...predictions.map((prediction) => {
      const bar = element("span", { className: "bar" }, element("span"));
      bar.firstChild.style.width = percent(prediction.probability).replace(" ", "");
      const button = element(
        "button",
        { type: "button", className: "prediction", title: `Explain the answer for ${prediction.label}`,
          "aria-pressed": String(prediction.class_index === target) },
        element("span", null, prediction.label), element("span", { className: "value" }, percent(prediction.probability)), bar,
      );
      button.addEventListener("click", () => onChoose(prediction));
      return element("li", null, button);
    }),
  );
}

function showCheck({ crosscheck }) {
  show("check", Boolean(crosscheck));
  if (!crosscheck) return;
  const lines = ["deconv", "occlusion"]
    .filter((method) => crosscheck[method])
    .map((method) => {
      const { agrees, max_relative_difference: difference } = crosscheck[method];
      const verdict = agrees ? "agree" : "do not agree";
      return element("li", null, `${method === "deconv" ? "Projections" : "Occlusion maps"} ${verdict} with ${crosscheck.library} ` +
        `${crosscheck.version}: largest difference ${difference.toExponential(1)} of the largest value.`);
    });
  $("check-text").replaceChildren(element("ul", { className: "notes" }, ...lines));
}

function showReading(answer) {
  $("notes").replaceChildren(...answer.notes.map((note) => element("li", null, note)));
  const parts = [["Projections", answer.deconv], ["Occlusion", answer.occlusion], ["Cross-check", answer.crosscheck]];
  $("conventions").replaceChildren(
    ...parts.filter(([, part]) => part).flatMap(([title, part]) => [
      element("h3", null, title),
      element("dl", { className: "facts" }, ...terms(Object.entries(part.conventions).map(([name, text]) => [name.replaceAll("_", " "), text]))),
    ]),
  );
  $("facts").replaceChildren(...terms(facts(answer)));
  show("reading");
}

function facts({ request_id, model, image, timing_ms, occlusion }) {
  const { crop, preprocessing } = image;
  const deviation = occlusion?.max_deviation;
  return [
    ["request", request_id],
    ["model", `${model.name} ${model.version} on ${model.device}`],
    ["weights", `sha256 ${model.weights_sha256}`],
    ["validation", `${percent(model.validation.top1)} of ${count(model.validation.images, "image", "images")}`],
    ["picture", `${image.width} × ${image.height} pixels, the square of ${crop.width} from row ${crop.top}, column ${crop.left}`],
    ["preprocessing", `to ${preprocessing.size} × ${preprocessing.size}, less mean ${preprocessing.mean.join(", ")}, over ${preprocessing.std.join(", ")}`],
    ["deviation", deviation == null ? "" : `at most ${deviation.toExponential(1)} from float32 where compared`],
    ["time", Object.entries(timing_ms).map(([stage, ms]) => `${stage} ${seconds(ms)}`).join(", ")],
  ];
}

/** A file of this explanation, computed anew; its name follows the picture's. */
async function download(picture, options, format) {
  const images = format === "json" && !$("images").checked ? { images: "false" } : {};
  const response = await ask("explanations", picture, { ...options, ...images, format });
  const url = URL.createObjectURL(await response.blob());
  element("a", { href: url, download: `${picture.name.replace(/\.[^.]*$/, "")}-explanation.${format}` }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

async function copyCurl() {
  const code = $("curl");
  getSelection().selectAllChildren(code);
  // The clipboard's own interface is there on https and localhost only.
  const copied = await (navigator.clipboard?.writeText(code.textContent) ?? Promise.reject()).then(
    () => true,
    () => document.execCommand("copy"),
  );
  $("copy").textContent = copied ? "Copied" : "Selected";
  setTimeout(() => ($("copy").textContent = "Copy"), 2000);
}
