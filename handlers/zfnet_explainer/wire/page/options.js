// The options: controls filled from the server's table, what is chosen, the control at fault.

const form = $("options");
const shared = sharedLabels(settings.classes);
// The options of the form; these two are the downloads'.
const WRITTEN = Object.keys(settings.options).filter((name) => name !== "images" && name !== "format");

function fillControls() {
  for (const [name, option] of Object.entries(settings.options)) {
    const group = form.querySelector(`[data-choices="${name}"]`);
    const control = form.elements[name];
    if (group) {
      group.append(...option.choices.map((choice) => checkbox(name, choice)));
    } else if (control instanceof HTMLSelectElement) {
      const choices = name === "fill" ? [...option.choices, "colour"] : option.choices;
      control.append(...choices.map((choice) => element("option", { value: choice }, WORDS[choice] ?? choice)));
    } else if ("low" in option) {
      Object.assign(control, { min: option.low, max: option.high });
      control.closest("label").hidden = option.low === option.high; // such as `others` of a net without an atlas
    }
  }
  for (const place of form.querySelectorAll("[data-high]")) {
    place.textContent = settings.options[place.dataset.high].high;
  }
  $("classes").append(
    ...settings.classes.map((c) => element("option", shared.has(c.label) ? { value: c.synset, label: c.label } : { value: c.label })),
  );
  setDefaults();
}

function checkbox(name, value) {
  return element("label", { className: "check" }, element("input", { type: "checkbox", name, value }), WORDS[value] ?? value);
}

function setDefaults() {
  for (const name of WRITTEN) setOption(name, settings.options[name].default);
  delete form.elements.stride.dataset.edited;
  optionsChanged();
}

function setOption(name, value) {
  const group = form.querySelector(`[data-choices="${name}"]`);
  if (!group) form.elements[name].value = value;
  else for (const box of group.querySelectorAll("input")) box.checked = value.split(",").includes(box.value);
}

/** A class chosen among this picture's (null: none), for `target` or `contrast`: unlike one that is written, it is not the next picture's. */
function clickClass(name, entry) {
  setOption(name, entry ? classValue(entry, settings.classes) : "");
  form.elements[name].dataset.clicked = "true";
  optionsChanged();
}

/** Clear these options where their class was chosen among the picture's. */
function forgetClicked(...names) {
  for (const control of names.map((name) => form.elements[name])) {
    if (control.dataset.clicked) control.value = "";
    delete control.dataset.clicked;
  }
  optionsChanged();
}

/** Options as they would be written, those of a method that is off left out. */
function written() {
  const fields = new FormData(form);
  const values = {};
  for (const name of WRITTEN) {
    const grouped = form.querySelector(`[data-choices="${name}"]`);
    if (grouped || fields.has(name)) values[name] = fields.getAll(name).join(",").trim();
  }
  if (values.fill === "colour") values.fill = form.elements.colour.value;
  return inUse(values, settings.owners);
}

/** The options that differ from their defaults: what is sent, and what the curl line says. */
function chosen() {
  return differing(written(), settings.options);
}

function optionsChanged() {
  const { stride, feature, features, fill, colour } = form.elements;
  if (!stride.dataset.edited) stride.value = defaultOf("stride", { window: form.elements.window.value }, settings.options);
  stride.max = form.elements.window.value;
  colour.hidden = fill.value !== "colour";
  features.disabled = feature.value.trim() !== "";
  const methods = new FormData(form).getAll("methods");
  for (const set of form.querySelectorAll("[data-method]")) set.disabled = !methods.includes(set.dataset.method);
  showSquares(written()); // which reads only what is enabled
  $("changed").textContent =
    Object.entries(chosen()).map(([name, value]) => `${name} ${value || "empty"}`).join(" · ") || "all at their defaults";
}

function showSquares(values) {
  const squares = squareCount(values, settings.size);
  const limit = values.crosscheck === "captum" ? settings.max_squares_crosscheck : settings.max_squares;
  $("squares").textContent =
    squares === null
      ? ""
      : `${count(squares, "square", "squares")}${squares > limit ? `, more than the ${limit.toLocaleString("en")} allowed` : ""}`;
  $("squares").classList.toggle("over", squares > limit);
}

/** The control an error is about, marked and in view. */
function markOption(name) {
  for (const marked of form.querySelectorAll("[aria-invalid]")) marked.removeAttribute("aria-invalid");
  const control = name && (form.querySelector(`[data-choices="${CSS.escape(name)}"] input`) ?? form.elements[name]);
  if (!(control instanceof HTMLElement) || !form.contains(control)) return;
  $("options-details").open = true;
  control.setAttribute("aria-invalid", "true");
  control.focus();
}
