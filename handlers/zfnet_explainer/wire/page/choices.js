// What options come to, as they are written in the form: what is sent, how many squares, how long it takes.

/** Those of a method that is off left out. */
function inUse(values, owners) {
  const methods = values.methods.split(",");
  return Object.fromEntries(Object.entries(values).filter(([name]) => !(name in owners) || methods.includes(owners[name])));
}

/** Those that differ from their defaults. */
function differing(values, options) {
  const { features, ...others } = values;
  const sent = values.feature ? others : values; // these two exclude each other
  return Object.fromEntries(Object.entries(sent).filter(([name, value]) => value !== defaultOf(name, values, options)));
}

/** Those that a file of this format has a place for: an npz has every class, and no pictures. */
function fitting(options, format) {
  const placeless = format === "npz" ? ["top_k", "others"] : [];
  return Object.fromEntries(Object.entries(options).filter(([name]) => !placeless.includes(name)));
}

/** An option's default; the stride's follows a window that is smaller. */
function defaultOf(name, values, options) {
  const { default: value } = options[name];
  return name === "stride" ? String(Math.min(value, Number(values.window) || value)) : value;
}

/** How many of the strongest maps each of so many layers may have of the `high` in all: no more than were wanted. */
function featuresFor(layers, wanted, high) {
  const most = Math.max(1, Math.floor(high / layers));
  return Number(wanted) > most ? String(most) : wanted;
}

/** Whether two say the same, in whatever order. */
function alike(one, other) {
  return Object.keys({ ...one, ...other }).every((name) => one[name] === other[name]);
}

/** The indices of the classes of that name, a label or synset: as it is written; where there is none, in any case. */
function called(text, classes) {
  const named = (form) => [...classes.keys()].filter((i) => [classes[i].label, classes[i].synset].map(form).includes(form(text)));
  const asWritten = named((name) => name.trim());
  return asWritten.length ? asWritten : named(plain);
}

function plain(name) {
  return name.normalize("NFC").replaceAll("_", " ").toLowerCase().trim().split(/\s+/).join(" ");
}

/**
 * How an option says a class of an answer: by its label, else its synset, where neither is another's name nor means the
 * second; else by its index. A server that has another net by now knows a class by its synset, or not.
 */
function classValue({ class_index: index, synset }, classes) {
  if (classes[index]?.synset !== synset) return synset;
  const clear = (text) => called(text, classes).length === 1 && plain(text) !== "second";
  return [classes[index].label, synset].find(clear) ?? String(index);
}

/** The index of the class that an option says, as the server reads it: a label or synset in any case, else an index. */
function classSaid(text, classes) {
  const said = plain(text);
  const [named] = called(text, classes);
  if (named !== undefined) return named;
  return /^\d+$/.test(said) ? Number(said) : null;
}

/** Squares that a window and a stride give on a picture of `size`, or null where they are none. */
function squareCount({ window, stride }, size) {
  const [side, step] = [Number(window), Number(stride)];
  if (!(side >= 1 && side <= size && step >= 1 && step <= side)) return null;
  return (Math.ceil((size - side) / step) + 1) ** 2;
}

/** No time is known yet: milliseconds a projection, and a square by how it is computed. */
function unknownSpeed() {
  return { square: {}, projection: null };
}

function kind(values) {
  return `${values.precision} ${values.crosscheck}`;
}

/** What an explanation takes: squares, projections and, once one like it was answered, milliseconds. */
function work(values, size, speed) {
  const methods = values.methods.split(",");
  const squares = methods.includes("occlusion") ? squareCount(values, size) ?? 0 : 0;
  const maps = values.feature ? values.feature.split(",").length : Number(values.features);
  const projections = methods.includes("deconv") ? values.layer.split(",").length * maps : 0;
  const known = (!squares || kind(values) in speed.square) && (!projections || speed.projection !== null);
  const ms = known ? squares * (speed.square[kind(values)] ?? 0) + projections * (speed.projection ?? 0) : null;
  return { squares, projections, ms };
}

/** The speed after an answer: the latest of each kind. */
function learned(speed, { timing_ms: spent, occlusion, deconv }, values) {
  const known = { square: { ...speed.square }, projection: speed.projection };
  if (occlusion) {
    known.square[kind(values)] = (spent.occlusion + (spent.crosscheck ?? 0)) / (occlusion.rows * occlusion.cols);
  }
  if (deconv) {
    const projections = deconv.layers.reduce((sum, layer) => sum + layer.features.length, 0);
    known.projection = (spent.deconv + spent.encode) / projections;
  }
  return known;
}
