"""What a grid of squares changes in each layer of a chain, and how each layer is best recomputed there."""

from dataclasses import dataclass
from math import ceil

import torch
from torch import Tensor, nn

from ..net.chain import Chain
from ..net.geometry import Axis, Interval
from .changed import Boxes
from .squares import Squares
from .winograd import Tiling, tilings

Corners = tuple[Tensor, Tensor]

TRANSFORMABLE = torch.float32, torch.float64  # Winograd's form loses two bits: too many for a shorter mantissa


@dataclass(frozen=True)
class Line:
    """One axis of a step, for every position of a square along it.

    From `firsts` on, `length` outputs are recomputed out of the `reads` values from `starts` on; `changed` are
    the outputs that may differ from the clean ones.
    """

    changed: list[Interval]
    firsts: list[int]
    length: int
    starts: list[int]
    reads: int


@dataclass(frozen=True)
class Step:
    """One layer's part: its two lines, a tiling where it pays, and what a square takes: multiply-adds, and values held.

    Of all squares, on the chain's device: the changed outputs, and (row, column) of the first recomputed output
    and of the first value read for it.
    """

    vertical: Line
    horizontal: Line
    tiling: Tiling | None
    multiply_adds: int
    values: int
    boxes: Boxes
    firsts: Corners
    starts: Corners


def plan(chain: Chain, squares: Squares, dtype: torch.dtype, device: torch.device) -> dict[str, Step]:
    """The steps of the layers that read windows, in order."""
    vertical: list[Interval] = [(top, top + squares.window) for top in squares.tops]
    horizontal: list[Interval] = [(left, left + squares.window) for left in squares.lefts]
    channels, steps = chain.input_size[0], {}
    for name, (down, across) in chain.axes.items():
        layer = chain.layer(name)
        ways: list[Tiling | None] = [None]
        if isinstance(layer, nn.Conv2d) and dtype in TRANSFORMABLE:
            ways += tilings(layer)
        after = layer.out_channels if isinstance(layer, nn.Conv2d) else channels
        lines = {way: (_line(down, vertical, way), _line(across, horizontal, way)) for way in ways}
        tiling = min(ways, key=lambda way: _cost(layer, way, *lines[way]))
        lengthwise, crosswise = lines[tiling]
        vertical, horizontal = lengthwise.changed, crosswise.changed
        steps[name] = Step(
            lengthwise,
            crosswise,
            tiling,
            _cost(layer, tiling, lengthwise, crosswise),
            _values(tiling, lengthwise, crosswise, channels, after),
            Boxes.grid(vertical, horizontal).to(device),
            _corners(lengthwise.firsts, crosswise.firsts, device),
            _corners(lengthwise.starts, crosswise.starts, device),
        )
        channels = after
    return steps


def _corners(down: list[int], across: list[int], device: torch.device) -> Corners:
    """Both parts of every pair, the second one running fastest."""
    grid = torch.cartesian_prod(torch.tensor(down), torch.tensor(across)).view(-1, 2).to(device)
    return grid[:, 0], grid[:, 1]


def _line(axis: Axis, before: list[Interval], tiling: Tiling | None) -> Line:
    """An axis whose layer reads values of which `before` changed."""
    changed = [axis.touched(interval) for interval in before]
    if tiling is None:
        firsts = [first for first, _ in changed]
        length = max(1, *(last - first for first, last in changed))
        starts = [first * axis.stride - axis.padding for first in firsts]
        return Line(changed, firsts, length, starts, axis.span(length))
    cells = [
        ((first + axis.padding) // axis.stride, -(-(last + axis.padding) // axis.stride)) for first, last in before
    ]
    covered = tiling.inputs * max(1, *(ceil((last - first) / tiling.inputs) for first, last in cells))
    return Line(
        changed,
        [first - tiling.kernel + 1 for first, _ in cells],
        covered + tiling.kernel - 1,
        [first * axis.stride - axis.padding for first, _ in cells],
        covered * axis.stride,
    )


def _cost(layer: nn.Module, tiling: Tiling | None, vertical: Line, horizontal: Line) -> int:
    """Multiply-adds for one square."""
    if not isinstance(layer, nn.Conv2d):
        return 0
    if tiling is None:
        return layer.weight.numel() * vertical.length * horizontal.length
    return (
        tiling.along(vertical.reads)
        * tiling.along(horizontal.reads)
        * tiling.multiplications(layer.in_channels, layer.out_channels)
    )


def _values(tiling: Tiling | None, vertical: Line, horizontal: Line, before: int, after: int) -> int:
    """Values that a square holds at a time: what it reads (twice, for differences), gives, and has in between."""
    read = vertical.reads * horizontal.reads * before
    given = vertical.length * horizontal.length * after
    if tiling is None:
        return read + 2 * given
    points = tiling.outputs**2 * tiling.along(vertical.reads) * tiling.along(horizontal.reads)
    return 2 * read + points * (before * tiling.stride**2 + 2 * after) + given
