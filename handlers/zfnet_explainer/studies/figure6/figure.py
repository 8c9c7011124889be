"""Figure 6 of the paper: first-layer filters and second-layer projections of the three nets, with their numbers."""

from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from ...explanation import Pixels
from ...methods.deconvnet import Feature
from ...pictures.display import projection_pixels
from ...pictures.labelled import Pictures
from ..first_layer import first_filters
from ..tables import Table, percent
from .comparison import ALEXNET_STEM, CLIPPED, UNCLIPPED, Trained
from .filters import Numbers, find_peaks, numbers, project_peaks

FILTER_TILE, PROJECTION_TILE, GAP = 33, 60, 2
FILTER_COLUMNS, PROJECTION_COLUMNS = 12, 8


@dataclass(frozen=True)
class Studied:
    """A trained net, its numbers, and projections of its layer 2."""

    trained: Trained
    numbers: Numbers
    projected: list[Feature]


def study(trained: Trained, val: Pictures) -> Studied:
    """Find what excites the first two layers most among the validation pictures, and measure them."""
    peaks = find_peaks(trained.chain, val, trained.preprocessing)
    projected = project_peaks(trained.chain, val, trained.preprocessing, peaks[1])
    return Studied(trained, numbers(trained.chain, peaks, projected), projected)


def number_table(studied: Sequence[Studied]) -> Table:
    """The numbers of all nets, one column each."""
    found = [one.numbers for one in studied]
    rows = (
        ("validation top-1", *(percent(one.trained.log["val_top1"]) for one in studied)),
        ("dead maps, layer 1", *(f"{n.dead[0]} of {n.maps[0]}" for n in found)),
        ("dead maps, layer 2", *(f"{n.dead[1]} of {n.maps[1]}" for n in found)),
        ("largest filter of layer 1", *(f"{n.largest:.3f}" for n in found)),
        ("largest over the median one", *(f"{n.dominance:.2f}" for n in found)),
        ("high frequencies, filters of layer 1", *(percent(n.high_filters) for n in found)),
        ("high frequencies, projections of layer 2", *(percent(n.high_projections) for n in found)),
    )
    return Table(
        "figure6", "Figure 6 in numbers", ("", *(one.trained.contender.title for one in studied)), rows,
        "Dead: no validation picture brings the map to a hundredth of what its layer's median map reaches. Filters: "
        "root mean squares. High frequencies: share of the energy at a quarter of a cycle a pixel "
        "or more, across or down; white noise has 77 %.",
    )  # fmt: skip


def draw(studied: Sequence[Studied]) -> Pixels:
    """The figure, uint8 [height, width, 3]: filters of all three nets above, projections of the clipped two below."""
    nets = {one.trained.contender: one for one in studied}
    filters = [
        (contender.title, filter_mosaic(first_filters(nets[contender].trained.chain)))
        for contender in (UNCLIPPED, ALEXNET_STEM, CLIPPED)
    ]
    projections = [
        (f"layer 2 of {contender.title}", projection_mosaic(nets[contender].projected))
        for contender in (ALEXNET_STEM, CLIPPED)
    ]
    with matplotlib.rc_context({"font.size": 9}):
        figure = Figure(figsize=(10.5, 8.1), dpi=120, facecolor="white")
        canvas = FigureCanvasAgg(figure)
        grid = figure.add_gridspec(2, 6, height_ratios=(1, 2.2), left=0.01, right=0.99, top=0.96, bottom=0.01,
                                   hspace=0.1, wspace=0.06)  # fmt: skip
        places = [grid[0, :2], grid[0, 2:4], grid[0, 4:], grid[1, :3], grid[1, 3:]]
        for place, letter, (title, picture) in zip(places, "abcde", [*filters, *projections], strict=True):
            axes = figure.add_subplot(place)
            axes.imshow(picture)
            axes.set_title(f"({letter}) {title}")
            axes.set_axis_off()
        canvas.draw()  # type: ignore[no-untyped-call]
        return np.asarray(canvas.buffer_rgba())[..., :3].copy()  # type: ignore[no-untyped-call]


def filter_mosaic(filters: Tensor) -> Pixels:
    """Filters [n, 3, height, width] in rows of twelve, all on one scale: mid-grey is zero, the largest weight white."""
    values = (filters / filters.abs().max()).permute(0, 2, 3, 1).cpu().numpy()
    tiles = (128 + 127 * values).round().astype(np.uint8)
    return _mosaic([_resized(tile, FILTER_TILE) for tile in tiles], FILTER_COLUMNS)


def projection_mosaic(projected: Sequence[Feature]) -> Pixels:
    """Projections cut to their receptive fields, each on its own scale, in rows of eight; blank where none is."""
    tiles = [projection_pixels(one.projection, one.receptive_field) for one in projected]
    blank = np.full((PROJECTION_TILE, PROJECTION_TILE, 3), 255, np.uint8)
    return _mosaic([_resized(tile, PROJECTION_TILE) for tile in tiles] or [blank], PROJECTION_COLUMNS)


def _resized(tile: Pixels, side: int) -> Pixels:
    return np.asarray(Image.fromarray(tile).resize((side, side), Image.Resampling.NEAREST))


def _mosaic(tiles: Sequence[Pixels], columns: int) -> Pixels:
    """Square tiles [side, side, 3] row by row, white between them."""
    step = len(tiles[0]) + GAP
    rows = -(-len(tiles) // columns)
    picture = np.full((rows * step - GAP, columns * step - GAP, 3), 255, np.uint8)
    for i, tile in enumerate(tiles):
        top, left = i // columns * step, i % columns * step
        picture[top : top + len(tile), left : left + len(tile)] = tile
    return picture
