// What classes are called where several stand beside each other.

// Hebrew, Arabic and the other scripts that run from right to left.
const RIGHT_TO_LEFT = /[\u0590-\u08FF\uFB1D-\uFDFF\uFE70-\uFEFF\u{10800}-\u{10FFF}\u{1E800}-\u{1EFFF}]/u;

/** The labels that several classes have. */
function sharedLabels(classes) {
  const labels = classes.map(({ label }) => label);
  return new Set(labels.filter((label, i) => labels.indexOf(label) !== i));
}

/** An answer whose labels tell its classes apart, wherever in it they stand: a shared one has the synset behind it. */
function named(part, shared) {
  if (part === null || typeof part !== "object") return part;
  if (Array.isArray(part)) return part.map((one) => named(one, shared));
  const copy = Object.fromEntries(Object.entries(part).map(([key, value]) => [key, named(value, shared)]));
  if (!("synset" in part)) return copy;
  const label = isolated(part.label);
  return { ...copy, label: shared.has(part.label) ? `${label} (${part.synset})` : label };
}

/** Set apart where it runs from right to left: else it would draw the numbers behind it to its other side. */
function isolated(label) {
  return RIGHT_TO_LEFT.test(label) ? `\u2068${label}\u2069` : label;
}
