"""A page, and what is drawn on it: pictures, tiles and bars, placed in inches from its top left corner."""

import io
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke

from ...explanation import Occlusion, Pixels, Prediction
from ...net.geometry import Box
from ...net.record import ClassName
from ..display import patch_pixels
from ..fill import fill_pixels
from .text import label, share

WIDTH, DPI = 13.8, 130
SIDE = 3.5  # inches, of a picture or a map
HEADING, DETAIL, SMALL = 11.5, 9.5, 8.5  # points
GREY, PALE = "#555555", "#ededed"
BAR_COLOUR = "#0072b2"
PREDICTIONS = 5  # at most


class Page:
    """A white page on which everything is placed by hand, so that no size depends on the contents."""

    def __init__(self, height: float) -> None:
        self.height = height
        self.figure = Figure(figsize=(WIDTH, height), dpi=DPI, facecolor="white")
        FigureCanvasAgg(self.figure)

    def axes(self, left: float, top: float, width: float, height: float) -> Axes:
        bottom = self.height - top - height
        return self.figure.add_axes((left / WIDTH, bottom / self.height, width / WIDTH, height / self.height))

    def text(self, left: float, baseline: float, text: str, size: float, colour: str = "black") -> None:
        """One line of text; a class may be called anything, so $ starts no formula."""
        self.figure.text(left / WIDTH, 1 - baseline / self.height, text, size=size, color=colour, parse_math=False)

    def heading(self, left: float, top: float, text: str, detail: str) -> None:
        """A title, and a smaller line under it, that end just above `top`."""
        self.text(left, top - 0.33, text, HEADING)
        self.text(left, top - 0.12, detail, DETAIL, GREY)

    def arrow(self, left: float, bottom: float, top: float) -> None:
        """An arrow up the page."""
        ax = self.axes(left, top, 0.1, bottom - top)
        ax.set_axis_off()
        ax.annotate("", (0.5, 1), (0.5, 0), arrowprops={"arrowstyle": "-|>", "color": "#aaaaaa", "linewidth": 1.5})

    def png(self) -> bytes:
        """The page as PNG, without date or program, so that the same page gives the same bytes."""
        buffer = io.BytesIO()
        self.figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
        return buffer.getvalue()


@dataclass(frozen=True)
class Tile:
    """A small picture [rows, columns, 3] and what stands below it."""

    pixels: Pixels
    caption: str


def draw_tile(page: Page, left: float, top: float, side: float, tile: Tile) -> None:
    """A tile centred in a square, its caption below; one cut at the picture's border keeps its shape."""
    ax = page.axes(left, top, side, side)
    rows, cols = tile.pixels.shape[:2]
    half = max(rows, cols) / 2
    ax.imshow(tile.pixels, interpolation="antialiased", extent=(-cols / 2, cols / 2, rows / 2, -rows / 2))
    ax.set(xlim=(-half, half), ylim=(half, -half), xticks=[], yticks=[], facecolor=PALE)
    ax.spines[:].set_visible(False)
    ax.set_xlabel(tile.caption, size=SMALL, labelpad=3)


def draw_tiles(page: Page, left: float, top: float, pitch: float, columns: int, tiles: list[Tile]) -> None:
    """Tiles row by row, `pitch` apart across and a caption more than that down."""
    for i, tile in enumerate(tiles):
        row, col = divmod(i, columns)
        draw_tile(page, left + col * pitch, top + row * (pitch + 0.2), pitch - 0.08, tile)


def draw_picture(page: Page, left: float, top: float, pixels: Pixels) -> Axes:
    """A picture whose axes are its pixels, (0, 0) the top left corner."""
    ax = pixel_axes(page, left, top, pixels)
    ax.imshow(pixels, interpolation="antialiased", extent=(*ax.get_xlim(), *ax.get_ylim()))
    return ax


def draw_box(ax: Axes, box: Box, colour: str) -> None:
    """The outline of a box, cased in black to be seen on any picture."""
    ax.add_patch(
        Rectangle(
            (box.left, box.top),
            box.width,
            box.height,
            fill=False,
            clip_on=False,
            edgecolor=colour,
            linewidth=2.2,
            path_effects=[withStroke(linewidth=3.6, foreground="black")],
        )
    )


def with_square(pixels: Pixels, occlusion: Occlusion, box: Box, mean: tuple[float, ...]) -> Pixels:
    """The picture with the occluding square at `box`."""
    picture = pixels.copy()
    filled = fill_pixels(occlusion.fill, pixels, occlusion.squares.window, mean)
    patch_pixels(picture, box)[:] = patch_pixels(filled, box)
    return picture


def draw_predictions(
    page: Page, left: float, top: float, predictions: tuple[Prediction, ...], names: tuple[ClassName, ...]
) -> None:
    """The first predictions as bars from 0 to 1, each under its name."""
    shown = predictions[:PREDICTIONS]
    ax = page.axes(left, top, SIDE, 0.38 * len(shown))
    ax.barh(range(len(shown)), [p.probability for p in shown], height=0.32, align="edge", color=BAR_COLOUR)
    for row, p in enumerate(shown):
        ax.text(0, row - 0.14, label(names, p.class_index), size=DETAIL, parse_math=False)
        ax.text(1, row - 0.14, share(p.probability), size=DETAIL, ha="right")
    ax.set(xlim=(0, 1), ylim=(len(shown) - 0.4, -0.6))
    ax.set_axis_off()


def pixel_axes(page: Page, left: float, top: float, pixels: Pixels) -> Axes:
    """Axes of the picture's extent with a tick every quarter, alike for the picture and all its maps."""
    ax = page.axes(left, top, SIDE, SIDE)
    height, width = pixels.shape[:2]
    ax.set(
        xlim=(0, width),
        ylim=(height, 0),
        facecolor=PALE,
        xticks=np.linspace(0, width, 5),
        yticks=np.linspace(0, height, 5),
    )
    ax.tick_params(labelsize=SMALL)
    return ax
