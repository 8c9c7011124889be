"""Parts of maps on their way down through a chain: what single activations reach, and nothing else."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor
from torch.nn import functional

from ..net.geometry import Axes, Axis


@dataclass(frozen=True)
class Windows:
    """Windows [n, maps, h, w] of n signals, each from its own row of `tops` and column of `lefts` on.

    They lie within the maps, and signals are zero outside of them.
    """

    values: Tensor
    tops: Sequence[int]
    lefts: Sequence[int]

    def rectified(self) -> "Windows":
        return Windows(self.values.clamp_min(0), self.tops, self.lefts)

    def filtered(self, axes: Axes, weight: Tensor, groups: int) -> "Windows":
        """Down through a convolution: its transpose, cut to the maps that it reads."""
        vertical, horizontal = axes
        spread = functional.conv_transpose2d(
            self.values, weight, None, (vertical.stride, horizontal.stride), groups=groups
        )
        tops, lefts = _below(self.tops, vertical), _below(self.lefts, horizontal)
        found = _at(spread.shape, spread, axes, tops, lefts)
        for i, (top, left) in enumerate(zip(tops, lefts, strict=True)):
            _paste(spread[i], top - found.tops[i], left - found.lefts[i], found.values[i])
        return found

    def unpooled(self, axes: Axes, switches: Tensor) -> "Windows":
        """Down through a max pool: every value to the cell that it was taken from, where they meet added.

        `switches` [n or 1, maps, rows, columns] are indices in the flattened map that the pool reads. Windows of the
        pool that overlap are added one after another: a GPU would add what meets in any order, with other last bits.
        """
        vertical, horizontal = axes
        count, maps, height, width = self.values.shape
        taken = torch.stack(
            [
                one[:, top : top + height, left : left + width]
                for one, top, left in zip(switches.expand(count, -1, -1, -1), self.tops, self.lefts, strict=True)
            ]
        )
        reached = (count, maps, vertical.span(height), horizontal.span(width))
        found = _at(reached, self.values, axes, _below(self.tops, vertical), _below(self.lefts, horizontal))
        tops, lefts = (taken.new_tensor(starts).view(-1, 1, 1, 1) for starts in (found.tops, found.lefts))
        wide = found.values.shape[3]
        cells = (taken // horizontal.size_in - tops) * wide + taken % horizontal.size_in - lefts
        apart = [-(-axis.kernel // axis.stride) for axis in axes]  # windows as far apart do not overlap
        for row, col in product(*map(range, apart)):
            some = (..., slice(row, None, apart[0]), slice(col, None, apart[1]))
            found.values.flatten(2).scatter_add_(2, cells[some].flatten(2), self.values[some].flatten(2))
        return found

    def whole(self, height: int, width: int) -> Tensor:
        """The signals over all of maps of that size: [n, maps, height, width]."""
        count, maps = self.values.shape[:2]
        found = self.values.new_zeros(count, maps, height, width)
        for i, (top, left) in enumerate(zip(self.tops, self.lefts, strict=True)):
            _paste(self.values[i], top, left, found[i])
        return found


def _below(starts: Sequence[int], axis: Axis) -> list[int]:
    """The first value that each first output reads, padding counted."""
    return [start * axis.stride - axis.padding for start in starts]


def _at(shape: Sequence[int], like: Tensor, axes: Axes, tops: list[int], lefts: list[int]) -> Windows:
    """Windows of zeros in place of those of that shape, no larger than the map and moved into it."""
    (count, maps, *wanted), (down, across) = shape, (axis.size_in for axis in axes)
    height, width = min(wanted[0], down), min(wanted[1], across)
    return Windows(
        like.new_zeros(count, maps, height, width),
        [min(max(top, 0), down - height) for top in tops],
        [min(max(left, 0), across - width) for left in lefts],
    )


def _paste(values: Tensor, top: int, left: int, to: Tensor) -> None:
    """Copy maps [maps, h, w] to larger or smaller ones from (top, left) on; what lies outside is left out."""
    (height, width), (tall, wide) = values.shape[1:], to.shape[1:]
    rows, cols = slice(max(top, 0), min(top + height, tall)), slice(max(left, 0), min(left + width, wide))
    to[:, rows, cols] = values[:, rows.start - top : rows.stop - top, cols.start - left : cols.stop - left]
