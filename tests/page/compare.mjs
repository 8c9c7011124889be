// Answers on its output what the page makes of the cases on its input.

import { readFileSync } from "node:fs";

import { load } from "./scripts.mjs";

const { brightest, cellEdges, centreCrop, classLegend, classSaid, fitting, logOdds, shade, squareCount } =
  load("grid.js", "choices.js", "odds.js");
const { grids, legends, maps, pictures, colours, classes, said, odds, files } = JSON.parse(readFileSync(0, "utf8"));

const answers = {
  edges: grids.flatMap(({ tops, lefts, window }) => [cellEdges(tops, window), cellEdges(lefts, window)]),
  counts: grids.map(({ size, window, stride }) => squareCount({ window, stride }, size)),
  legends: legends.map((classes) => classLegend(classes, colours)),
  brightest: maps.map(({ values, unoccluded }) => brightest(values, unoccluded)),
  shades: maps.map(({ values }) => values.flat().map((value) => shade(value, colours.viridis))),
  crops: pictures.map((picture) => centreCrop(picture, 1)),
  fitted: files.formats.map((format) => fitting(files.options, format)),
  said: said.map((text) => classSaid(text, classes)),
  reaches: odds.map(([one, other]) => logOdds(one, other).reach),
  inner: pictures.map((picture) => centreCrop(picture, 0.875)),
};
console.log(JSON.stringify(answers));
