// The lines are split by a shell, as they will be where somebody pastes them.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import test from "node:test";

import { load } from "./scripts.mjs";

const { curlLine, fileName, quoted } = load("shell.js");
const URL_ = "http://127.0.0.1:8080/explanations/zfnet";

/** The words that a shell makes of a line, each ended by a zero byte, which no word can hold. */
function split(line) {
  const program = line.replace(/^curl /, "printf '%s\\0' ");
  return execFileSync("sh", ["-c", program], { encoding: "utf8", env: { TOKEN: "sesame" } }).split("\0").slice(0, -1);
}

function words(name, options = {}, token = false) {
  return split(curlLine({ name, options, url: URL_, token }));
}

test("a line that needs no quotes has none", () => {
  const line = curlLine({ name: "church.jpg", options: { layer: "1,2", window: "56" }, url: URL_, token: false });
  assert.equal(line, `curl -F data=@church.jpg -F layer=1,2 -F window=56 ${URL_} -o church-explanation.json`);
});

test("a shell leaves every name of a picture whole, and curl is told where the name ends", () => {
  const names = {
    "it's wide.png": "it's wide.png",
    "$HOME `id` $(id) *.png": "$HOME `id` $(id) *.png",
    "~#!&|<>.png": "~#!&|<>.png",
    "größe ×.png": "größe ×.png",
    "two\nlines.png": "two\nlines.png",
    "a;b.png": '"a;b.png"',
    "a, b.png": '"a, b.png"',
    'say "hi".png': '"say \\"hi\\".png"',
    "back\\slash.png": '"back\\\\slash.png"',
    " around ": '" around "',
    "it's; \"all\" \\ of, it.png": '"it\'s; \\"all\\" \\\\ of, it.png"',
  };
  for (const [name, told] of Object.entries(names)) {
    assert.deepEqual(words(name), ["-F", `data=@${told}`, URL_, "-o", fileName(name, "json")]);
  }
});

test("a shell leaves every value whole, and curl reads none as a file, a type or a quotation", () => {
  const flags = {
    tench: "-F", "golf ball": "-F", "jack-o'-lantern": "-F", "": "-F", "3, 4": "-F", "#ff0000": "-F", "a\\b": "-F", 'the "real" one': "-F",
    "drake; duck": "--form-string", "@home": "--form-string", "<none>": "--form-string", "(unknown)": "--form-string", '"quoted"': "--form-string",
  };
  for (const [target, flag] of Object.entries(flags)) {
    assert.deepEqual(words("a.png", { target }).slice(2, 4), [flag, `target=${target}`]);
  }
});

test("an address is one word, whatever it holds", () => {
  const url = "https://host/base path/explanations/zf'net?a=1&b=2";
  assert.equal(split(curlLine({ name: "a.png", options: {}, url, token: false }))[2], url);
});

test("a token is asked of the shell, and only where the server wants one", () => {
  assert.deepEqual(words("a.png", {}, true).slice(0, 2), ["-H", "Authorization: Bearer sesame"]);
  assert.equal(words("a.png", {}, false).includes("-H"), false);
});

test("an empty word is still a word", () => {
  assert.equal(quoted(""), "''");
});

test("an explanation is called after its picture, whose last ending it replaces", () => {
  const names = { "church.jpg": "church", "a.b.c.png": "a.b.c", picture: "picture", ".png": "", "two words.jpeg": "two words" };
  for (const [name, start] of Object.entries(names)) assert.equal(fileName(name, "png"), `${start}-explanation.png`);
});
