"""Parts of maps on their way down through a chain: what single activations reach, and nothing else."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from types import EllipsisType

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
        found = self._zeros_below(axes, spread.shape[1])
        tops, lefts = _below(self.tops, vertical), _below(self.lefts, horizontal)
        for i, (top, left) in enumerate(zip(tops, lefts, strict=True)):
            _paste(spread[i], top - found.tops[i], left - found.lefts[i], found.values[i])
        return found

    def unpooled(self, axes: Axes, switches: Tensor) -> "Windows":
        """Down through a max pool: every value to the cell that it was taken from, where they meet added.

        `switches` [n or 1, maps, rows, columns] are indices in the flattened map that the pool reads. Windows of the
        pool that overlap are added one after another: a GPU would add what meets in any order, with other last bits.
        """
        found = self._zeros_below(axes, self.values.shape[1])
        cells = found._cells(self._cut(switches), axes[1].size_in)
        for apart in _apart(axes):
            found.values.flatten(2).scatter_add_(2, cells[apart].flatten(2), self.values[apart].flatten(2))
        return found

    def whole(self, height: int, width: int) -> Tensor:
        """The signals over all of maps of that size: [n, maps, height, width]."""
        count, maps = self.values.shape[:2]
        found = self.values.new_zeros(count, maps, height, width)
        for i, (top, left) in enumerate(zip(self.tops, self.lefts, strict=True)):
            _paste(self.values[i], top, left, found[i])
        return found

    def _zeros_below(self, axes: Axes, maps: int) -> "Windows":
        """Zeros in place of all that these windows read of so many maps: no larger than the maps, moved into them."""
        vertical, horizontal = axes
        height, width = vertical.reach(self.values.shape[2]), horizontal.reach(self.values.shape[3])
        return Windows(
            self.values.new_zeros(len(self.values), maps, height, width),
            [min(max(top, 0), vertical.size_in - height) for top in _below(self.tops, vertical)],
            [min(max(left, 0), horizontal.size_in - width) for left in _below(self.lefts, horizontal)],
        )

    def _cut(self, maps: Tensor) -> Tensor:
        """What whole maps [n or 1, maps, rows, columns] have under each window [n, maps, h, w]."""
        count, _, height, width = self.values.shape
        places = zip(maps.expand(count, -1, -1, -1), self.tops, self.lefts, strict=True)
        return torch.stack([one[:, top : top + height, left : left + width] for one, top, left in places])

    def _cells(self, indices: Tensor, columns: int) -> Tensor:
        """Indices in flattened maps that are so many columns wide, as indices in these flattened windows."""
        tops, lefts = (indices.new_tensor(starts).view(-1, 1, 1, 1) for starts in (self.tops, self.lefts))
        return (indices // columns - tops) * self.values.shape[3] + indices % columns - lefts


def _below(starts: Sequence[int], axis: Axis) -> list[int]:
    """The first value that each first output reads, padding counted."""
    return [start * axis.stride - axis.padding for start in starts]


def _apart(axes: Axes) -> Iterator[tuple[EllipsisType, slice, slice]]:
    """Parts of a layer's outputs [..., h, w], all of them together; within one no two read the same value."""
    down, across = (-(-axis.kernel // axis.stride) for axis in axes)
    for row, col in product(range(down), range(across)):
        yield ..., slice(row, None, down), slice(col, None, across)


def _paste(values: Tensor, top: int, left: int, to: Tensor) -> None:
    """Copy maps [maps, h, w] to larger or smaller ones from (top, left) on; what lies outside is left out."""
    (height, width), (tall, wide) = values.shape[1:], to.shape[1:]
    rows, cols = slice(max(top, 0), min(top + height, tall)), slice(max(left, 0), min(left + width, wide))
    to[:, rows, cols] = values[:, rows.start - top : rows.stop - top, cols.start - left : cols.stop - left]
