import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import test from "node:test";
import vm from "node:vm";

import { FOLDER } from "./scripts.mjs";

test("each file is a script by itself", () => {
  const names = readdirSync(FOLDER).filter((name) => name.endsWith(".js"));
  assert.ok(names.includes("app.js"));
  for (const filename of names) new vm.Script(`"use strict"; ${readFileSync(new URL(filename, FOLDER), "utf8")}`, { filename });
});
