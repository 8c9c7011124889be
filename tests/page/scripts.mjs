// The page's scripts as its browser has them, in one scope, but without a document or settings.

import { readFileSync } from "node:fs";
import vm from "node:vm";

export const FOLDER = new URL("../../handlers/zfnet_explainer/wire/page/", import.meta.url);

/** The functions of these scripts. */
export function load(...names) {
  const source = names.map((name) => readFileSync(new URL(name, FOLDER), "utf8")).join("\n");
  const functions = [...source.matchAll(/^function (\w+)/gm)].map(([, name]) => name);
  // This very context, so that their arrays and objects are of the same kind as a test's.
  return vm.runInThisContext(`"use strict"; (() => {${source}\nreturn { ${functions.join(", ")} }; })()`);
}
