// Pictures that come with the page, for who has none at hand.

/** Offer them, each with its source and terms; the one that is chosen is handed over as the file that it is. */
function prepareSamples(onChoose) {
  show("samples", settings.samples.length > 0);
  $("samples-list").append(...settings.samples.map((sample) => sampleButton(sample, onChoose)));
  $("samples-credits").append(
    ...settings.samples.map(({ title, credit, licence }) => element("li", null, `${title}: ${credit}. ${licence}.`)),
  );
}

function sampleButton({ file, title, jpeg }, onChoose) {
  const picture = element("img", { src: `data:image/jpeg;base64,${jpeg}`, alt: "" });
  const button = element("button", { type: "button", className: "sample" }, picture, element("span", null, title));
  button.addEventListener("click", () => onChoose(new File([bytes(jpeg)], file, { type: "image/jpeg" })));
  return button;
}

function bytes(base64) {
  return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
}
