// Where things lie on a picture, and which colour a cell has. The server's figure draws the same: pictures/display.py.

/** Borders of the cells around the squares' centres, half way between neighbours; a lone square is its own cell. */
function cellEdges(starts, window) {
  if (starts.length === 1) return [starts[0], starts[0] + window];
  const centres = starts.map((start) => start + window / 2);
  const between = centres.slice(1).map((centre, i) => (centre + centres[i]) / 2);
  return [2 * centres[0] - between[0], ...between, 2 * centres.at(-1) - between.at(-1)];
}

/** The cell at a position along one axis, the nearest where none is there. */
function cellAt(edges, position) {
  return edges.slice(1, -1).filter((edge) => edge <= position).length;
}

/** In the answer's order, whose first is always the prediction; beyond the colours there are, one last entry holds all other classes. */
function classLegend(classes, { classes: colours, other }) {
  const kept = classes.length <= colours.length ? classes : classes.slice(0, colours.length - 1);
  const entries = kept.map((c, i) => ({ colour: colours[i], label: c.label, positions: c.positions, indices: [c.class_index] }));
  const rest = classes.slice(kept.length);
  if (rest.length) {
    const positions = rest.reduce((sum, c) => sum + c.positions, 0);
    entries.push({ colour: other, label: `${rest.length} other classes`, positions, indices: rest.map((c) => c.class_index) });
  }
  return entries;
}

/** The value at the bright end of a map's colours, whose dark end is zero. */
function brightest(grid, unoccluded) {
  return Math.max(unoccluded, ...grid.flat()) || 1;
}

/** The colour of a share of the brightest value. */
function shade(share, colours) {
  return colours[Math.round((colours.length - 1) * Math.min(1, Math.max(0, share)))];
}

/** The square in the middle that the net sees, `share` of the shorter side: to a pixel of the net's, before the server says it. */
function centreCrop({ width, height }, share) {
  const side = Math.round(share * Math.min(width, height));
  return { left: Math.floor((width - side) / 2), top: Math.floor((height - side) / 2), width: side, height: side };
}

function scaled(box, scale) {
  return Object.fromEntries(Object.entries(box).map(([side, pixels]) => [side, pixels * scale]));
}
