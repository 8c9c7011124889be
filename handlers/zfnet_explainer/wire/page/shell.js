// The request as one line for a shell.

/** Its answer goes into a file, since a terminal is no place for its pictures; the token stays out of it. */
function curlLine({ name, options, url, token }) {
  const key = token ? ['-H "Authorization: Bearer $TOKEN"'] : [];
  // curl itself splits a file name at ; and , and drops spaces around it, unless it stands in double quotes.
  const file = /[;,"\\]|^\s|\s$/.test(name) ? `"${name.replace(/["\\]/g, "\\$&")}"` : name;
  const fields = Object.entries(options).map(([option, value]) => `${formFlag(value)} ${quoted(`${option}=${value}`)}`);
  return ["curl", ...key, `-F ${quoted(`data=@${file}`)}`, ...fields, quoted(url), "-o", quoted(fileName(name, "json"))].join(" ");
}

/** To -F these would be a file, a type, a quotation or the beginning of parts within the part. */
function formFlag(value) {
  return /^[@<"(]|;/.test(value) ? "--form-string" : "-F";
}

function quoted(word) {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

/** What an explanation of a picture is saved as. */
function fileName(name, format) {
  return `${name.replace(/\.[^.]*$/, "")}-explanation.${format}`;
}
