"""What a grid of squares changes in each layer of a chain, and how each layer is best recomputed there."""

from dataclasses import dataclass

import torch
from torch import nn

from ..net.chain import Chain
from ..net.geometry import Axis, Interval
from .changed import Boxes
from .squares import Squares
from .winograd import Tiling, tilings

TRANSFORMABLE = torch.float32, torch.float64  # Winograd's form loses two bits: too many for a shorter mantissa


@dataclass(frozen=True)
class Step:
    """One layer's part: the changed boxes of all squares, a tiling where it pays, values held for a square."""

    boxes: Boxes
    tiling: Tiling | None
    values: int


def plan(chain: Chain, squares: Squares, dtype: torch.dtype) -> dict[str, Step]:
    """The steps of the layers that read windows, in order."""
    vertical: list[Interval] = [(top, top + squares.window) for top in squares.tops]
    horizontal: list[Interval] = [(left, left + squares.window) for left in squares.lefts]
    channels, steps = chain.input_size[0], {}
    for name, axes in chain.axes.items():
        vertical = [axes[0].touched(interval) for interval in vertical]
        horizontal = [axes[1].touched(interval) for interval in horizontal]
        layer, sizes = chain.layer(name), (_sizes(vertical), _sizes(horizontal))
        tiling = _cheapest(layer, *sizes) if isinstance(layer, nn.Conv2d) and dtype in TRANSFORMABLE else None
        after = layer.out_channels if isinstance(layer, nn.Conv2d) else channels
        values = _values(axes, sizes, channels, after) if tiling is None else _tiled(tiling, sizes, channels, after)
        steps[name] = Step(Boxes.grid(vertical, horizontal), tiling, values)
        channels = after
    return steps


def _sizes(intervals: list[Interval]) -> list[int]:
    return [last - first for first, last in intervals]


def _cheapest(layer: nn.Conv2d, heights: list[int], widths: list[int]) -> Tiling | None:
    """The tiling with the fewest multiplications over all squares, None where the plain way has fewer."""
    weight = layer.weight.numel()
    costs: dict[Tiling | None, int] = {None: weight * max(heights) * max(widths) * len(heights) * len(widths)}
    for tiling in tilings(layer):
        tiles = sum(tiling.tiles(h) for h in heights) * sum(tiling.tiles(w) for w in widths)
        costs[tiling] = tiles * tiling.multiplications(layer.in_channels, layer.out_channels)
    return min(costs, key=lambda way: costs[way])


def _values(axes: tuple[Axis, Axis], sizes: tuple[list[int], list[int]], before: int, after: int) -> int:
    """Values that the plain way holds at a time for one square: what its window reads and gives."""
    given = [max(1, *lengths) for lengths in sizes]
    read = [axis.span(n) for n, axis in zip(given, axes, strict=True)]
    return read[0] * read[1] * before + 2 * given[0] * given[1] * after


def _tiled(tiling: Tiling, sizes: tuple[list[int], list[int]], before: int, after: int) -> int:
    """The same for Winograd's: read, transformed, multiplied, given."""
    tiles = tiling.tiles(max(sizes[0])) * tiling.tiles(max(sizes[1]))
    wide = before * tiling.stride**2
    return tiles * (tiling.cells**2 * (2 * wide + after) + 2 * tiling.outputs**2 * after)
