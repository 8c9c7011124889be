"""Figure 2: what sampled maps of each layer answer to most strongly, as one picture."""

import io
import random
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from ...net.record import Record
from ...pictures.atlas import NINE, Atlas, AtlasLayer, BadAtlas, Strongest, read_sheet
from ...pictures.drawing.page import DETAIL, GREY, HEADING, SMALL, WIDTH, Page
from ...pictures.drawing.text import fitting, inches, legible

LEFT, TOP, HEAD, CAPTION, GAP = 0.5, 0.6, 0.4, 0.3, 0.1  # inches
WIDE = 1.2  # enough for a class's name below a block
# How many maps stand in a row: deeper layers have more to show. Of the last layer there are two rows.
COLUMNS = (16, 12, 10, 8, 6)
QUALITY = 85  # of WebP: an eighth of the PNG, and letters stay sharp


@dataclass(frozen=True)
class _Row:
    """Maps of one layer that stand side by side, the last row of a layer perhaps shorter than its `columns`."""

    layer: AtlasLayer
    maps: tuple[int, ...]
    columns: int
    first: bool

    @property
    def side(self) -> float:
        """Of a block, in inches."""
        return (WIDTH - 2 * LEFT + GAP) / self.columns - GAP

    @property
    def height(self) -> float:
        return self.side + CAPTION + (HEAD if self.first else 0)


def figure_2(atlas: Atlas, folder: Path, record: Record, seed: int) -> bytes:
    """Draw the figure as WebP: a sample of each layer's maps, drawn by the seed.

    Beside a map's projections stand the patches of the pictures where the atlas has them; there are half as many maps
    then. `folder` is the atlas's. Raises BadAtlas where no map has nine pictures, or a sheet of patches is missing
    or damaged.
    """
    rows = [row for layer in atlas.layers.values() for row in _rows(layer, len(atlas.layers), seed)]
    if not rows:
        raise BadAtlas(f"no map of {folder} has nine pictures, which the figure shows: build the atlas over more")
    page = Page(TOP + sum(row.height for row in rows) + 0.35)
    title = "What the maps of each layer answer to: their nine strongest activations over {:,} pictures, projected"
    page.text(LEFT, 0.4, title.format(atlas.pictures), HEADING)
    top = TOP
    for row in rows:
        _draw(page, top, row, folder, record)
        top += row.height
    made = f"{legible(record.name)} · weights {record.weights_sha256[:8]} · maps drawn at random, seed {seed}"
    key = "mid-grey is zero · below a block: its map, and the class that most of the nine pictures have"
    page.text(LEFT, top + 0.1, f"{made} · {key}", SMALL, GREY)
    return _webp(page.png())


def _rows(layer: AtlasLayer, last: int, seed: int) -> list[_Row]:
    """Sampled maps in their order; those with fewer than nine activations have nothing to show."""
    columns = COLUMNS[min(layer.layer, len(COLUMNS)) - 1]
    across = columns // 2 if layer.patches else columns
    alive = [feature for feature, nine in layer.maps.items() if len(nine) == NINE]
    count = min(len(alive), 2 * across if layer.layer == last else across)
    maps = sorted(random.Random(f"{seed}, figure 2, layer {layer.layer}").sample(alive, count))  # noqa: S311
    return [_Row(layer, tuple(maps[i : i + across]), columns, i == 0) for i in range(0, count, across)]


def _draw(page: Page, top: float, row: _Row, folder: Path, record: Record) -> None:
    layer = row.layer
    if row.first:
        field = layer.projections.layout.field
        page.text(LEFT, top + HEAD - 0.12, f"Layer {layer.layer}", HEADING)
        page.text(LEFT + 0.75, top + HEAD - 0.12, f"sees up to {field} × {field} pixels", DETAIL, GREY)
        top += HEAD
    sheets = [layer.projections]
    if layer.patches:
        sheets.append(read_sheet(folder, *layer.patches, layer.projections.layout))
    pitch = len(sheets) * (row.side + GAP)
    for i, feature in enumerate(row.maps):
        left = LEFT + i * pitch
        for number, sheet in enumerate(sheets):
            ax = page.axes(left + number * (row.side + GAP / 3), top, row.side, row.side)
            ax.imshow(sheet.block(list(layer.maps).index(feature)), interpolation="antialiased")
            ax.set_axis_off()
        caption = _caption(feature, layer.maps[feature], record, pitch - GAP) if row.side > WIDE else f"{feature}"
        page.text(left, top + row.side + 0.15, caption, SMALL, GREY)


def _caption(feature: int, nine: tuple[Strongest, ...], record: Record, width: float) -> str:
    """The map, and the class that more than half of its nine pictures have, if any, cut to `width` inches in all."""
    folder, count = Counter(one.folder for one in nine).most_common(1)[0]
    names = {name.synset: name.label for name in record.classes}
    if count <= NINE // 2 or not folder:
        return f"{feature}"
    before, behind = f"{feature}: ", f" {count}/{NINE}"
    room = width - inches(before, SMALL) - inches(behind, SMALL)
    return before + fitting(names.get(folder, folder), SMALL, room) + behind


def _webp(png: bytes) -> bytes:
    buffer = io.BytesIO()
    with Image.open(io.BytesIO(png)) as image:
        image.convert("RGB").save(buffer, "WEBP", quality=QUALITY, method=6)
    return buffer.getvalue()
