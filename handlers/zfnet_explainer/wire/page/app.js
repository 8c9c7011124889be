// One picture's way through the page: predictions, then the explanation, each replacing the last.

// `answer` is the latest explanation, `url` where it came from, `options` what it would take to compute what is shown of it.
const current = { file: null, picture: null, answer: null, url: "", options: {}, target: null, waiting: null };
let speed = unknownSpeed();

async function take(file) {
  if (!file) return;
  current.waiting?.abort();
  current.file = file;
  const picture = await readPicture(file).catch((error) => unreadable(file, error));
  if (!picture) return;
  if (current.file !== file) { // another was chosen while this one was read
    picture.bitmap?.close();
    return;
  }
  forgetClicked("target", "contrast"); // those of the last picture
  current.picture?.bitmap?.close(); // megabytes, which would wait for the garbage collector
  Object.assign(current, { picture, answer: null, target: null });
  showOriginal(picture);
  $("predictions").replaceChildren();
  show("predictions-empty");
  show("predictions-help", false);
  hideResults();
  $("explain").disabled = false;
  await run();
}

/** A folder that was dropped, say, or a file that is there no longer. */
function unreadable(file, error) {
  console.error(error);
  if (current.file !== file) return;
  clearMessages();
  showError(new Refusal(`${file.name} cannot be read. Choose a picture's file.`));
}

/** Predict and explain the picture at hand; a later run takes over from one that still waits. */
async function run() {
  if (!current.picture) return;
  current.waiting?.abort();
  const waiting = (current.waiting = new AbortController());
  clearMessages();
  markStale(true);
  const clock = startClock();
  try {
    const predicted = await predict(waiting.signal);
    await explain(predicted, waiting.signal);
  } catch (error) {
    if (!waiting.signal.aborted) showError(error);
  } finally {
    clearInterval(clock);
    if (current.waiting === waiting) {
      current.waiting = null;
      hideProgress();
      unmarkAsWritten(); // where it failed or was stopped
    }
  }
}

/** Show the predictions; the index of the first. */
async function predict(signal) {
  $("progress-text").textContent = "Predicting …";
  const { top_k } = chosen();
  const answer = named(await ask("predictions", current.picture, top_k === undefined ? {} : { top_k }, signal), shared);
  signal.throwIfAborted();
  showModel(answer.model);
  showPredictions(answer.predictions, current.target, explainClass);
  return answer.predictions[0].class_index;
}

async function explain(predicted, signal) {
  forgetRival(classSaid(form.elements.target.value, settings.classes) ?? predicted);
  const values = written();
  const options = chosen();
  const url = address("explanations");
  showWork(work(values, settings.size, speed));
  const answer = completed(named(await ask("explanations", current.picture, options, signal), shared));
  signal.throwIfAborted();
  speed = learned(speed, answer, values);
  forgetRival(answer.target.class_index);
  Object.assign(current, { answer, url, options: { ...options, ...clickedContrast(answer) } });
  cutSquare(current.picture, answer.image);
  showOcclusion(answer, current.picture, rivalWanted(answer));
  showProjections(answer, current.picture);
  showCheck(answer);
  showReading(answer);
  showTarget(answer);
  show("take");
  markStale(false);
  $("done").textContent = `Explained: ${answer.target.label}, ${percent(answer.target.probability)}`; // to a screen reader
}

/** No class is compared with itself: it may have been chosen to compare with while an answer for it was awaited. */
function forgetRival(target) {
  if (classSaid(form.elements.contrast.value, settings.classes) === target) forgetClicked("contrast");
}

/** The option for a class that was chosen to compare with, also while this answer was awaited; none where it has no maps. */
function clickedContrast({ occlusion }) {
  const { value, dataset } = form.elements.contrast;
  return occlusion && value && dataset.clicked ? { contrast: value } : {};
}

/** The index of the class to compare with: the chosen one, else the answer's, else the one that is shown for this picture. */
function rivalWanted(answer) {
  const { contrast: said } = clickedContrast(answer);
  const shown = view.picture === current.picture ? contrast.other?.class_index : undefined;
  return (said === undefined ? null : classSaid(said, settings.classes)) ?? answer.occlusion?.contrast?.class_index ?? shown;
}

function showTarget({ predictions, target }) {
  current.target = target.class_index;
  showAsked(predictions[0], target);
  showPredictions(predictions, current.target, explainClass);
  showCommand(current.picture, current.options, current.url);
}

/** Results stay while others are computed and where that fails: framed and named as those of the options before. */
function markStale(stale) {
  document.querySelector("main").classList.toggle("stale", stale);
}

/** Those that are written are those of the results again. */
function unmarkAsWritten() {
  if (alike(chosen(), current.options)) markStale(false);
}

/** Show the answer for another class: from the explanation at hand, or from a new one where it does not have it. */
function explainClass(prediction) {
  const answer = current.answer && !current.waiting && answerFor(current.answer, prediction.class_index);
  const { contrast: against } = form.elements;
  if (classSaid(against.value, settings.classes) === prediction.class_index) setOption("contrast", ""); // not against itself
  clickClass("target", prediction.rank === 1 ? null : prediction);
  if (!answer) {
    run();
    return;
  }
  clearMessages();
  switchMaps(answer);
  showTop(answer);
  current.options = optionsFor(current.options, form.elements.target.value);
  showTarget(answer);
  unmarkAsWritten();
}

/** Another class was chosen to compare the answer's with: it is also the one of what is computed anew. */
function compared(other) {
  clickClass("contrast", other);
  current.options = { ...current.options, contrast: form.elements.contrast.value };
  showCommand(current.picture, current.options, current.url);
}

/** The options that the answer at hand would take for another class, which may have been the one it is compared with. */
function optionsFor({ target, ...others }, said) {
  if (others.contrast) others.contrast = classValue(contrast.other, settings.classes);
  return said ? { ...others, target: said } : others;
}

function startClock() {
  const started = performance.now();
  $("bar").removeAttribute("value");
  $("bar").dataset.expected = "";
  $("elapsed").textContent = "";
  show("progress");
  return setInterval(() => tick(performance.now() - started), 200);
}

/** The button that goes with it hands its focus on. */
function hideProgress() {
  const focused = document.activeElement === $("cancel");
  show("progress", false);
  if (focused) $("explain").focus();
}

function showWork({ squares, projections, ms }) {
  const parts = [
    squares && count(squares, "square", "squares"),
    projections && count(projections, "projection", "projections"),
    ms !== null && `about ${seconds(ms)}`,
  ];
  $("progress-text").textContent = `Explaining: ${parts.filter(Boolean).join(", ")}`;
  $("bar").dataset.expected = ms ?? "";
}

/** The bar nears its end but waits there for an answer that is late; without an estimate it only shows that it waits. */
function tick(elapsed) {
  $("elapsed").textContent = `${(elapsed / 1000).toFixed(0)} s so far`;
  const expected = Number($("bar").dataset.expected);
  if (expected) $("bar").value = Math.min(0.98, elapsed / expected);
}

function cancel() {
  current.waiting?.abort();
  showStopped();
}

function hideResults() {
  for (const result of document.querySelectorAll(".result")) result.hidden = true;
}

function prepareInput() {
  $("file").addEventListener("change", (event) => {
    take(event.target.files[0]);
    event.target.value = ""; // else a file that has changed could not be chosen again
  });
  document.addEventListener("paste", (event) => take(pasted(event)));
  document.addEventListener("dragover", (event) => {
    if (!bringsFile(event)) return;
    event.preventDefault();
    $("drop").classList.add("over");
  });
  document.addEventListener("dragleave", () => $("drop").classList.remove("over"));
  document.addEventListener("drop", (event) => {
    if (!bringsFile(event)) return;
    event.preventDefault();
    $("drop").classList.remove("over");
    take(event.dataTransfer.files[0]);
  });
}

function prepareOptions() {
  form.elements.stride.addEventListener("input", (event) => (event.target.dataset.edited = "true"));
  for (const name of ["target", "contrast"]) {
    form.elements[name].addEventListener("input", (event) => delete event.target.dataset.clicked);
  }
  form.elements.target.addEventListener("input", () => forgetClicked("contrast")); // it may be that very class
  form.addEventListener("input", optionsChanged);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    run();
  });
  $("defaults").addEventListener("click", setDefaults);
  $("all-layers").addEventListener("click", () => {
    const { layer, features } = settings.options;
    setOption("layer", layer.choices.join(","));
    setOption("features", featuresFor(layer.choices.length, form.elements.features.value, features.high));
    optionsChanged();
  });
}

prepareConnection();
fillControls();
prepareInput();
prepareOptions();
prepareMaps(compared);
prepareSamples(take);
prepareProjections();
$("cancel").addEventListener("click", cancel);
$("connection").addEventListener("submit", (event) => {
  event.preventDefault();
  run();
});
$("downloads").addEventListener("click", ({ target: { name, value } }) => {
  if (name === "format") takeAlong(current.picture, current.options, value);
});
$("copy").addEventListener("click", copyCurl);
