// Answers on its output what the page makes of the cases on its input.

import { readFileSync } from "node:fs";

import { load } from "./scripts.mjs";

const { brightest, cellEdges, centreCrop, classLegend, shade, squareCount } = load("grid.js", "choices.js");
const { grids, legends, maps, pictures, colours } = JSON.parse(readFileSync(0, "utf8"));

const answers = {
  edges: grids.flatMap(({ tops, lefts, window }) => [cellEdges(tops, window), cellEdges(lefts, window)]),
  counts: grids.map(({ size, window, stride }) => squareCount({ window, stride }, size)),
  legends: legends.map((classes) => classLegend(classes, colours)),
  brightest: maps.map(({ values, unoccluded }) => brightest(values, unoccluded)),
  shades: maps.map(({ values }) => values.flat().map((value) => shade(value, colours.viridis))),
  crops: pictures.map(centreCrop),
};
console.log(JSON.stringify(answers));
