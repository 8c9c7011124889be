// Small helpers around the document. Text from the server only ever becomes a text node.

const settings = JSON.parse(document.getElementById("settings").textContent);

const $ = (id) => document.getElementById(id);

function element(tag, properties, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (/^(aria-|data-|role$)/.test(name)) made.setAttribute(name, value);
    else made[name] = value;
  }
  made.append(...children);
  return made;
}

function show(id, shown = true) {
  $(id).hidden = !shown;
}

/** Definition list entries: a term and its text, those without text left out. */
function terms(pairs) {
  return pairs
    .filter(([, text]) => text)
    .map(([term, text]) => element("div", null, element("dt", null, term), element("dd", null, text)));
}
