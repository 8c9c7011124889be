"""One axis of a layer's work: what squares change along it, and what is read and recomputed for that."""

from dataclasses import dataclass
from math import ceil

from ...net.geometry import Axis, Interval
from .winograd import Tiling


@dataclass(frozen=True)
class AxisWork:
    """One axis of a layer's work, for every position of a square along it.

    From `firsts` on, `length` outputs are recomputed out of the `reads` values from `starts` on; `changed` are
    the outputs that may differ from the clean ones. `tiles` lie side by side, none where it is done directly.
    """

    changed: list[Interval]
    firsts: list[int]
    length: int
    starts: list[int]
    reads: int
    tiles: int = 0


def direct(axis: Axis, before: list[Interval]) -> AxisWork:
    """Recompute all that changes, where the layer reads values of which `before` changed."""
    changed = [axis.touched(interval) for interval in before]
    firsts = [first for first, _ in changed]
    length = max(1, *(last - first for first, last in changed))
    starts = [first * axis.stride - axis.padding for first in firsts]
    return AxisWork(changed, firsts, length, starts, axis.span(length))


def tiled(axis: Axis, before: list[Interval], tiling: Tiling) -> AxisWork:
    """Cover the values that changed with tiles, and recompute all that these add to."""
    blocks = [_blocks(axis, interval) for interval in before]
    tiles = max(1, *(_tiles(interval, tiling) for interval in blocks))
    covered = tiles * tiling.inputs
    return AxisWork(
        changed=[axis.touched(interval) for interval in before],
        firsts=[first - tiling.kernel + 1 for first, _ in blocks],
        length=covered + tiling.kernel - 1,
        starts=[first * axis.stride - axis.padding for first, _ in blocks],
        reads=covered * axis.stride,
        tiles=tiles,
    )


def grouped_by_tiles(layers: list[tuple[Axis, set[Tiling]]], starts: tuple[int, ...], window: int) -> list[list[int]]:
    """Positions of a square, grouped by the multiplications they take in the last layer that has tilings."""
    groups: dict[int, list[int]] = {}
    for position, start in enumerate(starts):
        changed, multiplications = (start, start + window), 0
        for axis, tilings in layers:
            if tilings:
                blocks = _blocks(axis, changed)
                multiplications = min(_tiles(blocks, tiling) * tiling.outputs for tiling in tilings)
            changed = axis.touched(changed)
        groups.setdefault(multiplications, []).append(position)
    return list(groups.values())


def _blocks(axis: Axis, values: Interval) -> Interval:
    """The phase blocks that these values lie in: so many values as the stride is, counted from the padding on."""
    first, last = values
    return (first + axis.padding) // axis.stride, -(-(last + axis.padding) // axis.stride)


def _tiles(blocks: Interval, tiling: Tiling) -> int:
    return ceil((blocks[1] - blocks[0]) / tiling.inputs)
