// Files of an explanation to take along, and the command line that asks for the same.

const COMPUTED_ANEW = $("download-status").textContent;
let preparing = false;

/** Offer this explanation; what was said of the files of another is gone. */
function showCommand({ name }, options, url) {
  const token = $("token").value.trim() !== "";
  $("curl").textContent = curlLine({ name, options, url, token });
  if (!preparing) $("download-status").textContent = COMPUTED_ANEW;
}

/** Save one as a file of this format, its name after the picture's; one at a time, as each is computed anew. */
async function takeAlong(picture, options, format) {
  if (preparing) return;
  block(true);
  const name = fileName(picture.name, format);
  $("download-status").textContent = `Preparing ${name} …`;
  try {
    save(await fileOf(picture, options, format), name);
    $("download-status").textContent = `${name} is in your downloads.`;
  } catch (error) {
    $("download-status").replaceChildren(...told(error));
    if (error.needsToken) showError(error); // with the field for it
  } finally {
    block(false);
  }
}

/** Not `disabled`: the button that was pressed would lose the focus. */
function block(preparingOne) {
  preparing = preparingOne;
  for (const button of document.querySelectorAll("#downloads button")) button.setAttribute("aria-disabled", preparing);
}

function fileOf(picture, options, format) {
  const images = format === "json" && !$("images").checked ? { images: "false" } : {};
  return ask("explanations", picture, { ...fitting(options, format), ...images, format });
}

function save(file, name) {
  const url = URL.createObjectURL(file);
  element("a", { href: url, download: name }).click();
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
