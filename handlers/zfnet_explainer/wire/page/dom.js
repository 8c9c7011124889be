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
