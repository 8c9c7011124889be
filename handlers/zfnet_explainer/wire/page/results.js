// What stands around the maps: predictions, cross-check, notes and conventions, facts.

function showModel(model) {
  const { name, version, validation, device } = model;
  $("model").textContent = `${name} ${version} · ${accuracy(validation, settings.classes.length)} · ${device}`;
}

/** Predictions as buttons: each explains the answer for its class. A focused one keeps the focus. */
function showPredictions(predictions, target, onChoose) {
  show("predictions-empty", false);
  show("predictions-help");
  const focused = document.activeElement.closest("#predictions button")?.value;
  $("predictions").replaceChildren(
    ...predictions.map((prediction) => {
      const bar = element("span", { className: "bar" }, element("span"));
      bar.firstChild.style.width = `${100 * prediction.probability}%`;
      const button = element(
        "button",
        { type: "button", className: "prediction", value: String(prediction.class_index), title: `Explain the answer for ${prediction.label}`,
          "aria-pressed": String(prediction.class_index === target) },
        element("span", null, prediction.label), element("span", { className: "value" }, percent(prediction.probability)), bar,
      );
      button.addEventListener("click", () => onChoose(prediction));
      return element("li", null, button);
    }),
  );
  if (focused) $("predictions").querySelector(`[value="${focused}"]`)?.focus({ preventScroll: true });
}

/** Above all results, where they are of another class than the predicted one. */
function showAsked(first, target) {
  show("asked", first.class_index !== target.class_index);
  $("asked").textContent = `Explained for ${target.label}, the class that was asked for; the prediction is ${first.label}.`;
}

/** What Captum found; where it disagrees, that stands above all results too. */
function showCheck({ crosscheck, target }) {
  const compared = ["deconv", "occlusion"].filter((method) => crosscheck?.[method]);
  const failed = compared.filter((method) => crosscheck[method].agrees === false);
  const line = (method) => verdict(method, target, crosscheck);
  show("check", Boolean(crosscheck));
  show("disagreement", failed.length > 0);
  $("disagreement").textContent = ["The cross-check failed: do not rely on this explanation.", ...failed.map(line)].join(" ");
  const lines = compared.map((method) => element("li", { className: failed.includes(method) ? "bad" : "" }, line(method)));
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
  show("contrast-note", Boolean(answer.occlusion));
  $("facts").replaceChildren(...terms(facts(answer, settings.classes.length)));
  show("reading");
}
