"""What a grid of squares changes in each layer of a chain, and how each layer is best recomputed there."""

from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor, nn

from ...net.chain import Chain
from ...net.geometry import Interval
from ..squares import Squares
from .axis import Line, alike, line
from .changed import Boxes
from .winograd import Tiles, tilings

Corners = tuple[Tensor, Tensor]

TRANSFORMABLE = torch.float32, torch.float64, torch.bfloat16  # float16's range is too short for Winograd's sums
GROUP = 48  # squares that a group of alike ones has at least, on average: fewer are not worth products of their own


@dataclass(frozen=True)
class Step:
    """One layer's part: its two lines, tiles where they pay, and what a square takes: multiply-adds, and values held.

    Of all squares, on the chain's device: the changed outputs, and (row, column) of the first recomputed output
    and of the first value read for it.
    """

    vertical: Line
    horizontal: Line
    tiles: Tiles | None
    multiply_adds: int
    values: int
    boxes: Boxes
    firsts: Corners
    starts: Corners


@dataclass(frozen=True)
class Part:
    """Squares that are recomputed alike, at `rows` x `cols` of their grid, and the layers' steps for them."""

    rows: list[int]
    cols: list[int]
    squares: Squares
    steps: dict[str, Step]

    @property
    def multiply_adds(self) -> int:
        return len(self.squares) * sum(step.multiply_adds for step in self.steps.values())

    @property
    def values(self) -> int:
        """The most values that a square holds at a time."""
        return max(step.values for step in self.steps.values())


def plan(chain: Chain, squares: Squares, dtype: torch.dtype, device: torch.device) -> list[Part]:
    """The squares, grouped on a CPU by how many tiles they take in the last layer that is tiled.

    Near the border, and by where a square stands between the steps of strides, it changes fewer cells. On a GPU one
    group with larger products is worth more than the multiplications.
    """
    ways = {name: _tilings(chain.layer(name), dtype) for name in chain.axes}
    layers = [(*axes, ways[name]) for name, axes in chain.axes.items()]
    down = [(axis, {tiles.vertical for tiles in found}) for axis, _, found in layers]
    across = [(axis, {tiles.horizontal for tiles in found}) for _, axis, found in layers]
    rows, cols = alike(down, squares.tops, squares.window), alike(across, squares.lefts, squares.window)
    if device.type == "cuda" or len(squares) < GROUP * len(rows) * len(cols):
        rows, cols = [list(range(len(squares.tops)))], [list(range(len(squares.lefts)))]
    return [_part(chain, squares, ways, *at, device) for at in product(rows, cols)]


def _tilings(layer: nn.Module, dtype: torch.dtype) -> list[Tiles]:
    return tilings(layer) if isinstance(layer, nn.Conv2d) and dtype in TRANSFORMABLE else []


def _part(
    chain: Chain, squares: Squares, ways: dict[str, list[Tiles]], rows: list[int], cols: list[int], device: torch.device
) -> Part:
    tops, lefts = (tuple(starts[i] for i in at) for starts, at in ((squares.tops, rows), (squares.lefts, cols)))
    vertical: list[Interval] = [(top, top + squares.window) for top in tops]
    horizontal: list[Interval] = [(left, left + squares.window) for left in lefts]
    channels, steps = chain.input_size[0], {}
    for name, (down, across) in chain.axes.items():
        layer = chain.layer(name)
        after = layer.out_channels if isinstance(layer, nn.Conv2d) else channels
        lines: dict[Tiles | None, tuple[Line, Line]] = {None: (line(down, vertical), line(across, horizontal))}
        for way in ways[name]:
            lines[way] = line(down, vertical, way.vertical), line(across, horizontal, way.horizontal)
        tiles, (lengthwise, crosswise) = min(lines.items(), key=lambda found: _cost(layer, found[0], *found[1]))
        vertical, horizontal = lengthwise.changed, crosswise.changed
        steps[name] = Step(
            lengthwise,
            crosswise,
            tiles,
            _cost(layer, tiles, lengthwise, crosswise),
            _values(tiles, lengthwise, crosswise, channels, after),
            Boxes.grid(vertical, horizontal).to(device),
            _corners(lengthwise.firsts, crosswise.firsts, device),
            _corners(lengthwise.starts, crosswise.starts, device),
        )
        channels = after
    return Part(rows, cols, Squares(squares.window, squares.stride, tops, lefts), steps)


def _corners(down: list[int], across: list[int], device: torch.device) -> Corners:
    """Both parts of every pair, the second one running fastest."""
    grid = torch.cartesian_prod(torch.tensor(down), torch.tensor(across)).view(-1, 2).to(device)
    return grid[:, 0], grid[:, 1]


def _cost(layer: nn.Module, tiles: Tiles | None, vertical: Line, horizontal: Line) -> int:
    """Multiply-adds for one square."""
    if not isinstance(layer, nn.Conv2d):
        return 0
    if tiles is None:
        return layer.weight.numel() * vertical.length * horizontal.length
    return _count(tiles, vertical, horizontal) * tiles.multiplications(layer.in_channels, layer.out_channels)


def _values(tiles: Tiles | None, vertical: Line, horizontal: Line, before: int, after: int) -> int:
    """Values that a square holds at a time: what it reads (twice, for differences), gives, and has in between."""
    read = vertical.reads * horizontal.reads * before
    given = vertical.length * horizontal.length * after
    if tiles is None:
        return read + 2 * given
    points = tiles.outputs * _count(tiles, vertical, horizontal)
    return 2 * read + points * (before * tiles.cell + 2 * after) + given


def _count(tiles: Tiles, vertical: Line, horizontal: Line) -> int:
    return tiles.vertical.along(vertical.reads) * tiles.horizontal.along(horizontal.reads)
