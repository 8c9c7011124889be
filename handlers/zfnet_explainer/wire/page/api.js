// The server: where it is, how it is asked, and what it says when it refuses.

const EXPLANATIONS = /^(.*)\/explanations\/([^/]+(?:\/[^/]+)?)\/?$/;
const served = /^https?:$/.test(location.protocol) ? EXPLANATIONS.exec(location.pathname) : null;

/** A refusal in the server's words; `option` names the option at fault, `needsToken` that it wants a key. */
class Refusal extends Error {
  constructor(message, { option = null, requestId = null, needsToken = false } = {}) {
    super(message);
    Object.assign(this, { option, requestId, needsToken });
  }
}

/** Served by the server itself, the page talks to nobody else; opened from elsewhere, it asks where the server is. */
function prepareConnection() {
  if (served) {
    const policy = element("meta", { httpEquiv: "Content-Security-Policy", content: "connect-src 'self'" });
    document.head.append(policy);
  } else {
    show("server-field");
  }
  if (!served || new URLSearchParams(location.search).has("token")) show("token-field");
  show("connection", !served || !$("token-field").hidden);
}

/** The address of a call, `predictions` or `explanations`. */
function address(call) {
  if (served) return `${location.origin}${served[1]}/${call}/${served[2]}`;
  const given = $("server").value.trim().replace(/\/+$/, "");
  if (!URL.canParse(given) || !/^https?:/.test(given)) {
    throw new Refusal("Give the server's address first, such as http://localhost:8080.");
  }
  const whole = EXPLANATIONS.exec(given);
  return whole ? `${whole[1]}/${call}/${whole[2]}` : `${given}/${call}/${settings.name}`;
}

/** POST a picture and options; what is answered, JSON or a file of the format asked for, or a Refusal (or the AbortError of `signal`). */
async function ask(call, picture, options, signal) {
  const form = new FormData();
  form.append("data", picture.blob, "picture"); // its name is nobody's business, but a file has one
  for (const [name, value] of Object.entries(options)) form.append(name, value);
  const url = address(call);
  const token = $("token").value.trim();
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  const response = await fetch(url, { method: "POST", body: form, headers, signal }).catch((cause) => {
    if (cause.name === "AbortError") throw cause;
    throw new Refusal(
      served
        ? "The server cannot be reached. Is it still running?"
        : `${new URL(url).origin} cannot be reached from here. Is it running, and does it let this page's origin in?`,
    );
  });
  if (!response.ok) throw await refusal(response);
  return content(response, options.format);
}

/** The answer itself: parsed, or as a file where a `format` was asked for. */
async function content(response, format) {
  const refused = new Refusal(`The server's answer is no ${format ?? "JSON"}: is something between it and this page that wants a login?`);
  const isPage = response.headers.get("Content-Type")?.startsWith("text/html");
  const isReport = format === "html" && (!served || response.headers.has("X-Request-Id")); // other origins may not see it
  if (response.redirected || (isPage && !isReport)) throw refused;
  return (format ? response.blob() : response.json()).catch((cause) => {
    if (cause.name === "AbortError") throw cause;
    throw cause instanceof SyntaxError ? refused : new Refusal("The connection was lost while the answer came. Try again.");
  });
}

async function refusal(response) {
  const said = await response.json().catch(() => ({})); // the server's own 413 has no body
  const error = said.error ?? said;
  const needsToken = error.type === "InvalidKeyException" || wantsBearer(response, said); // TorchServe's own, a gateway's
  return new Refusal(error.message ?? unexplained(response, needsToken), { option: error.option, requestId: error.request_id, needsToken });
}

/** Whether a 401 is about the token: one from a proxy's sign-in is not. Of another origin no header may be seen that tells. */
function wantsBearer(response, said) {
  const scheme = response.headers.get("WWW-Authenticate") ?? "";
  return response.status === 401 && (Boolean(said.error?.code) || /^bearer\b/i.test(scheme) || !served);
}

/** What is said of a refusal that has no words of its own. */
function unexplained({ status, statusText }, needsToken) {
  if (status === 413) return "The picture is larger than the server takes.";
  if (status === 401 && !needsToken) return "Your sign-in has ended: reload this page.";
  return `The server answered ${status} ${statusText}`.trim() + ".";
}
