"""One axis of a layer's part: what squares change along it, and what is read and recomputed for that."""

from dataclasses import dataclass
from math import ceil

from ...net.geometry import Axis, Interval
from .winograd import Tiling


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


def line(axis: Axis, before: list[Interval], tiling: Tiling | None = None) -> Line:
    """An axis whose layer reads values of which `before` changed."""
    changed = [axis.touched(interval) for interval in before]
    if tiling is None:
        firsts = [first for first, _ in changed]
        length = max(1, *(last - first for first, last in changed))
        starts = [first * axis.stride - axis.padding for first in firsts]
        return Line(changed, firsts, length, starts, axis.span(length))
    cells = [_cells(axis, interval) for interval in before]
    covered = tiling.inputs * max(1, *(_tiles(interval, tiling) for interval in cells))
    return Line(
        changed,
        [first - tiling.kernel + 1 for first, _ in cells],
        covered + tiling.kernel - 1,
        [first * axis.stride - axis.padding for first, _ in cells],
        covered * axis.stride,
    )


def alike(layers: list[tuple[Axis, set[Tiling]]], starts: tuple[int, ...], window: int) -> list[list[int]]:
    """Positions of a square, grouped by the multiplications they take in the last layer that has tilings."""
    groups: dict[int, list[int]] = {}
    for position, start in enumerate(starts):
        changed, points = (start, start + window), 0
        for axis, ways in layers:
            if ways:
                points = min(_tiles(_cells(axis, changed), way) * way.outputs for way in ways)
            changed = axis.touched(changed)
        groups.setdefault(points, []).append(position)
    return list(groups.values())


def _cells(axis: Axis, values: Interval) -> Interval:
    """The cells of an axis' stride that these values lie in."""
    first, last = values
    return (first + axis.padding) // axis.stride, -(-(last + axis.padding) // axis.stride)


def _tiles(cells: Interval, tiling: Tiling) -> int:
    return ceil((cells[1] - cells[0]) / tiling.inputs)
