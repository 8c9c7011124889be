// What the page says of a run that ended without an answer.

function clearMessages() {
  $("done").textContent = "";
  show("stopped", false);
  show("error", false);
  markOption(null);
}

function showStopped() {
  show("stopped");
  $("done").textContent = $("stopped").textContent; // screen readers miss a live region that comes with its text in it
}

/** An error in words, with the id that the server's log has it under. */
function told(error) {
  if (!(error instanceof Refusal)) console.error(error);
  const id = error.requestId ? ` (request ${error.requestId})` : "";
  const said = error instanceof Refusal ? error.message : "The page failed on this answer; the browser's console says why.";
  const wanted = $("token").value.trim() ? "This token is refused: " : "The server wants a token, in the field below: ";
  return [error.needsToken ? wanted : "", said, element("span", { className: "quiet" }, id)];
}

/** Say it above the options, or above the field for the token where that is at fault. */
function showError(error) {
  $("error").replaceChildren(...told(error));
  (error.needsToken ? $("connection") : form).before($("error"));
  show("error");
  $("error").scrollIntoView({ block: "nearest" });
  if (error.needsToken) {
    show("connection");
    show("token-field");
    show("retry");
    $("token").focus();
  } else if (error.option) {
    markOption(error.option);
  }
}
