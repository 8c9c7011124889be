"""Draws the figures of docs/engine.md, from the engine's own numbers: `python -m tools.engine_figures docs`."""

from fractions import Fraction
from pathlib import Path
from typing import Annotated

import matplotlib
import typer
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, Rectangle
from torch import Tensor

from zfnet_explainer.methods.incremental.axis import AxisWork, direct
from zfnet_explainer.methods.incremental.winograd import TileSide, Transforms, transforms
from zfnet_explainer.net.geometry import Axis, Interval

CLEAN, READ, CHANGED, TILE, LINE, TEXT = "#f2f2f2", "#b9d7ea", "#f0a267", "#9ac7a2", "#777777", "#222222"
Point = tuple[float, float]
Block = tuple[str, float, str]  # a name, a width and a colour


def one_axis() -> Figure:
    """A square's changed interval through a convolution and a pool, along 12 pixels."""
    figure, axes = _sheet(9.2, 3.3, (-3.6, 15.6), (-0.6, 5.2))
    convolution = Axis.over(12, kernel=3, stride=1, padding=1, ceil=False)
    pool = Axis.over(convolution.size_out, kernel=3, stride=2, padding=0, ceil=True)
    square: Interval = (4, 7)
    convolved = direct(convolution, [square])
    pooled = direct(pool, convolved.changed)
    pixels = [float(pixel) for pixel in range(12)]
    middles = [pool.stride * i + (pool.kernel - 1) / 2 for i in range(pool.size_out)]
    _map(axes, 4, pixels, square, _read(convolved), "pixels, of which a\nsquare covers 3")
    _map(axes, 2, pixels, convolved.changed[0], _read(pooled), "convolution\nof 3 taps")
    _map(axes, 0, middles, pooled.changed[0], range(0), "pool of 3,\nstride 2")
    _reach(axes, 2, convolved, pixels, pixels)
    _reach(axes, 0, pooled, pixels, middles)
    meanings = ((CLEAN, "as in the clean picture"), (READ, "the same, and read"), (CHANGED, "the box: what changed"))
    for i, (colour, meaning) in enumerate(meanings):
        _cell(axes, 4.3 * i, 4.9, colour, height=0.3)
        axes.text(4.3 * i + 0.55, 4.9, meaning, va="center", fontsize=8)
    return figure


def one_tile() -> Figure:
    """F(2 inputs, 3 taps): its matrices, and three tiles whose outputs overlap."""
    figure, axes = _sheet(9.2, 5.0, (-0.4, 18.0), (-5.5, 5.1))
    side = TileSide(inputs=2, kernel=3, stride=1)
    _title(axes, 4.7, "One tile: 4 products for 2 inputs and 3 taps, where multiplying out takes 6")
    _product(axes, transforms(side.inputs, side.kernel), 3.6)
    _title(axes, -0.6, "Tiles side by side: what they add overlaps in the outputs")
    _overlap(axes, side, tiles=3)
    axes.text(13.2, -3.2, "Down and across at once:\n16 products instead of 36", va="center", fontsize=9)
    return figure


def memory() -> Figure:
    """Where values lie while a layer is recomputed, in both ways."""
    figure, axes = _sheet(9.2, 5.2, (-0.3, 18.4), (-6.3, 5.0))
    squares = [("square 0", 1.9, CHANGED), ("square 1", 1.9, CHANGED), ("...", 0.9, CHANGED)]
    _title(axes, 4.5, "Direct")
    _memory(axes, (0, 3.2), [("clean rows, padded", 5.2, CLEAN), *squares])
    axes.text(10.2, 3.2, "each row is the channels of one cell", va="center", fontsize=9)
    _memory(axes, (0, 1.1), [("patch of square 0", 3.2, READ), ("patch of square 1", 3.2, READ), ("...", 0.9, READ)])
    _arrow(axes, (2.0, 2.75), (1.2, 1.55))
    _arrow(axes, (6.1, 2.75), (2.2, 1.55))
    axes.text(2.3, 2.3, "gather", fontsize=9)
    _arrow(axes, (7.4, 1.1), (9.6, 1.1), "layer")
    _memory(axes, (9.7, 1.1), squares)
    axes.text(14.7, 1.1, "the regions, for\nthe next layer", va="center", fontsize=9)
    axes.axhline(0.0, color="#cccccc", linewidth=0.8)
    _title(axes, -0.75, "Winograd")
    _memory(axes, (0, -2.0), [("0", 0.6, CLEAN), *squares])
    axes.text(5.7, -2.0, "differences from the clean rows, behind a row of zeros", va="center", fontsize=9)
    _memory(axes, (0, -4.0), [*[("tile", 1.1, TILE)] * 3, ("...", 0.9, TILE)])
    _arrow(axes, (2.0, -2.45), (1.2, -3.55))
    axes.text(2.3, -2.95, "gather", fontsize=9)
    _arrow(axes, (4.4, -4.0), (6.9, -4.0), "products")
    _memory(axes, (7.0, -4.0), [("outputs", 1.5, TILE), ("outputs", 1.5, TILE), ("...", 0.9, TILE)])
    _arrow(axes, (11.0, -4.0), (12.7, -4.0), "add")
    _memory(axes, (12.8, -4.0), squares)
    _memory(axes, (7.0, -5.8), [("clean outputs", 3.9, CLEAN)])
    _arrow(axes, (11.0, -5.8), (13.6, -4.45))
    axes.text(12.7, -5.5, "gather, before adding", fontsize=9)
    return figure


def _sheet(width: float, height: float, x: Point, y: Point) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=x, ylim=y)
    axes.axis("off")
    return figure, axes


def _title(axes: Axes, y: float, words: str) -> None:
    axes.text(-0.2, y, words, va="center", fontsize=10, weight="bold")


def _read(work: AxisWork) -> range:
    return range(work.starts[0], work.starts[0] + work.reads)


def _map(axes: Axes, y: float, centres: list[float], changed: Interval, read: range, name: str) -> None:
    """A layer's cells at a height, by what a square changes of them and what the next layer reads."""
    for i, x in enumerate(centres):
        _cell(axes, x, y, CHANGED if changed[0] <= i < changed[1] else READ if i in read else CLEAN, label=str(i))
    axes.text(-3.5, y, name, va="center", fontsize=9)


def _reach(axes: Axes, y: float, work: AxisWork, inputs: list[float], outputs: list[float]) -> None:
    """Lines from the first and the last output at a height to what these read."""
    read, first = _read(work), work.firsts[0]
    for output, value in ((first, read[0]), (first + work.length - 1, read[-1])):
        axes.plot([outputs[output], inputs[value]], [y + 0.4, y + 1.6], color=LINE, linewidth=0.9, linestyle=":")
    words = f"{work.reads} values read,\n{work.length} outputs recomputed"
    axes.text(11.6, y + 1.0, words, va="center", fontsize=9)


def _cell(axes: Axes, x: float, y: float, colour: str, height: float = 0.8, label: str = "") -> None:
    axes.add_patch(Rectangle((x - 0.4, y - height / 2), 0.8, height, facecolor=colour, edgecolor=LINE, linewidth=0.8))
    axes.text(x, y, label, ha="center", va="center", fontsize=8, color=TEXT)


def _product(axes: Axes, matrices: Transforms, y: float) -> None:
    """to_output · ((of_filter g) ⊙ (of_input d))."""
    x = 0.2
    for name, before, after in (("to_output", "", ""), ("of_filter", "((", "g)"), ("of_input", "⊙ (", "d))")):
        axes.text(x + 0.3, y - 1.35, before, ha="center", va="center", fontsize=14)
        left = x + 0.8 if before else x
        x = _matrix(axes, getattr(matrices, name), left, y)
        axes.text((left + x) / 2, y - 3.6, name, ha="center", fontsize=9, family="monospace", color=LINE)
        axes.text(x + 0.4, y - 1.35, after, ha="center", va="center", fontsize=14, style="italic")
        x += 0.9 if after else 0.2
    words = (
        "g: the filter's 3 taps, once for all",
        "d: 2 differences of inputs",
        "⊙: each pair's product; for all",
        "maps 4 matrix products",
    )
    axes.text(13.2, y - 1.35, "\n".join(words), va="center", fontsize=9)


def _matrix(axes: Axes, matrix: Tensor, x: float, y: float) -> float:
    """Its values, the first one's row at y, in brackets that begin at x; where these end."""
    rows, columns = matrix.shape
    for row in range(rows):
        for column in range(columns):
            value = str(Fraction(float(matrix[row, column])).limit_denominator(60)).replace("-", "−")
            axes.text(x + 0.45 + 0.9 * column, y - 0.9 * row, value, ha="center", va="center", fontsize=10)
    end, top, bottom = x + 0.9 * columns, y + 0.45, y - 0.9 * rows + 0.45
    for side, inward in ((x, 0.12), (end, -0.12)):
        axes.plot([side + inward, side, side, side + inward], [top, top, bottom, bottom], color=TEXT, linewidth=1)
    return end


def _overlap(axes: Axes, side: TileSide, tiles: int) -> None:
    colours = CHANGED, TILE
    for i in range(tiles * side.inputs):
        _cell(axes, 5.5 + i, -1.6, colours[i // side.inputs % 2])
    for tile in range(tiles):
        for i in range(side.outputs):
            _cell(axes, 4.5 + tile * side.inputs + i, -2.65 - 0.6 * tile, colours[tile % 2], height=0.5)
    for i in range(tiles * side.inputs + side.kernel - 1):
        added = sum(0 <= i - tile * side.inputs < side.outputs for tile in range(tiles))
        _cell(axes, 4.5 + i, -4.95, READ, label=str(added))
    for y, caption in (
        (-1.6, "differences, in\ntiles of 2"),
        (-3.2, "each tile adds\nto 4 outputs"),
        (-4.95, "outputs, and how\nmany tiles add to each"),
    ):
        axes.text(-0.2, y, caption, va="center", fontsize=9)


def _memory(axes: Axes, at: Point, blocks: list[Block]) -> None:
    """Blocks of memory, one after the other, from their left end's middle on."""
    x, y = at
    for name, width, colour in blocks:
        axes.add_patch(Rectangle((x, y - 0.4), width, 0.8, facecolor=colour, edgecolor=LINE, linewidth=0.8))
        axes.text(x + width / 2, y, name, ha="center", va="center", fontsize=9)
        x += width


def _arrow(axes: Axes, start: Point, end: Point, above: str = "") -> None:
    axes.add_patch(FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=10, color=LINE, linewidth=1))
    axes.text((start[0] + end[0]) / 2, start[1] + 0.3, above, ha="center", va="center", fontsize=9)


FIGURES = {"engine-axis": one_axis, "engine-tile": one_tile, "engine-memory": memory}


def main(
    folder: Annotated[
        Path, typer.Argument(exists=True, file_okay=False, help="Folder for the figures, docs as a rule.")
    ],
) -> None:
    """Draw the figures of docs/engine.md, from the engine's own numbers."""
    # Words stay words, which a search finds; and the same figures are the same bytes.
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "engine"}):
        for name, draw in FIGURES.items():
            draw().savefig(folder / f"{name}.svg", metadata={"Date": None}, facecolor="white")


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
app.command()(main)

if __name__ == "__main__":
    app()
