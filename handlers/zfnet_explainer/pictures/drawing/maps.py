"""Occlusion maps on a figure's page: values with their colour bar, and classes with their legend."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.colors import Colormap, ListedColormap
from matplotlib.patches import Patch

from ...explanation import FloatArray, IntArray, Occlusion, Pixels
from ...net.record import ClassName
from ..display import LegendEntry, cell_edges, class_counts, legend, upper
from .page import DETAIL, SIDE, SMALL, Page, pixel_axes
from .text import label

LEAST_REACH = 0.1  # nats: rounding alone is not drawn in full colour
MARK_SIZES = {"o": 13, "X": 9}  # points: the cross may stand in the ring

Marks = Mapping[str, tuple[int, int]]  # row and column of the square, by matplotlib's marker


@dataclass(frozen=True)
class Quantity:
    """Values [rows, cols] over the squares and the unoccluded one, their colours between `low` and `high`."""

    values: FloatArray
    unoccluded: float
    low: float
    high: float
    colours: str
    unit: str

    @classmethod
    def from_zero(cls, values: FloatArray, unoccluded: float, colours: str, unit: str) -> Self:
        return cls(values, unoccluded, 0, upper(values, unoccluded), colours, unit)

    @classmethod
    def around(cls, values: FloatArray, unoccluded: float, colours: str, unit: str) -> Self:
        """Nats: the unoccluded value in the middle, the values as far from it on both sides as any goes."""
        reach = max(LEAST_REACH, float(np.abs(values - unoccluded).max()))
        return cls(values, unoccluded, unoccluded - reach, unoccluded + reach, colours, unit)


def draw_map(
    page: Page,
    left: float,
    top: float,
    pixels: Pixels,
    occlusion: Occlusion,
    shown: Quantity,
    marks: Marks | None = None,
) -> None:
    """Values over the squares' centres; on the colour bar a triangle marks the unoccluded one.

    `marks`: at which squares, those of the lowest and the highest probability where none are given.
    """
    ax = pixel_axes(page, left, top, pixels)
    colours = matplotlib.colormaps[shown.colours]
    mesh = _draw_cells(ax, occlusion, shown.values, colours, (shown.low, shown.high), marks)
    bar = page.axes(left + SIDE + 0.16, top, 0.13, SIDE)
    page.figure.colorbar(mesh, cax=bar, format="{x:g}")  # in full: a shared offset would run over the heading
    bar.tick_params(labelsize=SMALL)
    bar.set_ylabel(shown.unit, size=DETAIL)
    across = bar.get_yaxis_transform()
    bar.plot([-0.45], [shown.unoccluded], ">", markersize=6, color="black", clip_on=False, transform=across)


def draw_classes(
    page: Page, left: float, top: float, pixels: Pixels, occlusion: Occlusion, names: tuple[ClassName, ...]
) -> None:
    """The most probable class over the squares' centres, its legend below."""
    classes = occlusion.most_probable_class
    entries = legend(class_counts(occlusion))
    colours = ListedColormap([tuple(c / 255 for c in entry.colour) for entry in entries])
    ax = pixel_axes(page, left, top, pixels)
    _draw_cells(ax, occlusion, _entry_numbers(classes, entries), colours, (-0.5, len(entries) - 0.5))
    handles = [Patch(facecolor=colours(i)) for i in range(len(entries))]
    key = ax.legend(
        handles,
        legend_labels(entries, names),
        loc="upper left",
        fontsize=SMALL,
        ncols=2,
        frameon=False,
        bbox_to_anchor=(0, -0.15),
        borderaxespad=0,
        borderpad=0,
        handlelength=1.2,
    )
    for text in key.get_texts():
        text.set_parse_math(False)


def legend_labels(entries: list[LegendEntry], names: tuple[ClassName, ...]) -> list[str]:
    """What each colour of the class map means, and how many squares have it."""
    labels = []
    for entry in entries:
        several = len(entry.classes) > 1
        name = f"{len(entry.classes)} other classes" if several else label(names, entry.classes[0])
        labels.append(f"{name} ({entry.positions:,})")
    return labels


def _draw_cells(
    ax: Axes,
    occlusion: Occlusion,
    values: FloatArray | IntArray,
    colours: Colormap,
    limits: tuple[float, float],
    marks: Marks | None = None,
) -> QuadMesh:
    """Values [rows, cols] as cells around the squares' centres; a cross at the worst square's, a ring at the best's."""
    squares = occlusion.squares
    edges = cell_edges(squares.lefts, squares.window), cell_edges(squares.tops, squares.window)
    mesh = ax.pcolormesh(*edges, values, cmap=colours, vmin=limits[0], vmax=limits[1])
    for marker, position in (marks or {"o": occlusion.best, "X": occlusion.worst}).items():
        box = occlusion.box(position)
        centre = [(box.left + box.right) / 2], [(box.top + box.bottom) / 2]
        ax.plot(*centre, marker, markersize=MARK_SIZES[marker], color="white", markeredgecolor="black")
    ax.set_xlabel("centre of the square, pixels", size=DETAIL)
    return mesh


def _entry_numbers(classes: IntArray, entries: list[LegendEntry]) -> IntArray:
    """Which legend entry [rows, cols] each class index belongs to."""
    numbers = np.empty_like(classes)
    for i, entry in enumerate(entries):
        numbers[np.isin(classes, entry.classes)] = i
    return numbers
