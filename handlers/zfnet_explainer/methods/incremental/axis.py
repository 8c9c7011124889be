"""One axis of a layer's work: what squares change along it, and what is read and recomputed for that."""

from dataclasses import dataclass
from math import ceil

from ...net.geometry import Axis, Interval
from .winograd import TileSide


@dataclass(frozen=True)
class AxisWork:
    """One axis of a layer's work, for every position of a square along it.

    From `firsts` on, `length` outputs are recomputed out of the `reads` values from `starts` on; `changed` are
    the outputs that may differ from the clean ones. `tile_count` tiles lie side by side, 0 where it is done directly.
    """

    changed: list[Interval]
    firsts: list[int]
    length: int
    starts: list[int]
    reads: int
    tile_count: int = 0


def direct(axis: Axis, before: list[Interval]) -> AxisWork:
    """Recompute all that changes, where the layer reads values of which `before` changed."""
    changed = [axis.touched(interval) for interval in before]
    firsts = [first for first, _ in changed]
    length = max(1, *(last - first for first, last in changed))
    starts = [first * axis.stride - axis.padding for first in firsts]
    return AxisWork(changed, firsts, length, starts, axis.span(length))


def tiled(axis: Axis, before: list[Interval], side: TileSide) -> AxisWork:
    """Cover the values that changed with tiles, and recompute all that these add to."""
    blocks = [_blocks(axis, interval) for interval in before]
    tile_count = max(1, *(_tile_count(interval, side) for interval in blocks))
    covered = tile_count * side.inputs
    return AxisWork(
        changed=[axis.touched(interval) for interval in before],
        firsts=[first - side.kernel + 1 for first, _ in blocks],
        length=covered + side.kernel - 1,
        starts=[first * axis.stride - axis.padding for first, _ in blocks],
        reads=covered * axis.stride,
        tile_count=tile_count,
    )


def grouped_by_tiles(layers: list[tuple[Axis, set[TileSide]]], starts: tuple[int, ...], window: int) -> list[list[int]]:
    """Positions of a square, grouped by the multiplications they take in the last layer that can be tiled."""
    groups: dict[int, list[int]] = {}
    for position, start in enumerate(starts):
        changed, multiplications = (start, start + window), 0
        for axis, sides in layers:
            if sides:
                blocks = _blocks(axis, changed)
                multiplications = min(_tile_count(blocks, side) * side.outputs for side in sides)
            changed = axis.touched(changed)
        groups.setdefault(multiplications, []).append(position)
    return list(groups.values())


def _blocks(axis: Axis, values: Interval) -> Interval:
    """The phase blocks that these values lie in: so many values as the stride is, counted from the padding on."""
    first, last = values
    return (first + axis.padding) // axis.stride, -(-(last + axis.padding) // axis.stride)


def _tile_count(blocks: Interval, side: TileSide) -> int:
    return ceil((blocks[1] - blocks[0]) / side.inputs)
