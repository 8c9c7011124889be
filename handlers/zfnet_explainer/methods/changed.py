"""Which cells of a layer's map a square changes, and where in memory their new values are.

A layer's values are rows of channels: first the clean map's cells, which all squares share, then the
recomputed cells of the squares. Reading patches of the squares' maps is then one gather of rows. Whether
a cell changed, and which row it is, is the conjunction and the sum of a vertical and a horizontal part.
"""

from dataclasses import dataclass
from typing import Protocol, Self

import torch
from torch import Tensor

from ..net.geometry import Interval


@dataclass(frozen=True)
class Boxes:
    """The changed cells of a layer, one box a square: [squares] each, `bottom` and `right` outside."""

    top: Tensor
    left: Tensor
    bottom: Tensor
    right: Tensor

    @classmethod
    def grid(cls, vertical: list[Interval], horizontal: list[Interval]) -> Self:
        """Of every pair of a vertical and a horizontal interval, the horizontal one running fastest."""
        top, bottom = torch.tensor(vertical).repeat_interleave(len(horizontal), 0).unbind(1)
        left, right = torch.tensor(horizontal).repeat(len(vertical), 1).unbind(1)
        return cls(top, left, bottom, right)

    def part(self, squares: slice) -> "Boxes":
        return Boxes(self.top[squares], self.left[squares], self.bottom[squares], self.right[squares])

    def to(self, device: torch.device) -> "Boxes":
        return Boxes(*(edge.to(device, non_blocking=True) for edge in (self.top, self.left, self.bottom, self.right)))


@dataclass(frozen=True)
class Cells:
    """Cells along one axis [squares, n]: whether they changed, and their part of a changed row's index."""

    changed: Tensor
    row: Tensor


class Changed(Protocol):
    """Says for cells of squares' maps, an axis at a time, whether they changed and in which row they are."""

    def vertical(self, cells: Tensor) -> Cells: ...

    def horizontal(self, cells: Tensor) -> Cells: ...


class Painted:
    """The picture itself: what a square covers is the fill's pixel there, a changed row for every pixel."""

    def __init__(self, boxes: Boxes, width: int) -> None:
        self.boxes, self.width = boxes, width

    def vertical(self, cells: Tensor) -> Cells:
        return Cells(_between(cells, self.boxes.top, self.boxes.bottom), cells * self.width)

    def horizontal(self, cells: Tensor) -> Cells:
        return Cells(_between(cells, self.boxes.left, self.boxes.right), cells)


class Recomputed:
    """One region of `height` x `width` rows a square, whose first cell is (`top`, `left`) [squares each].

    It holds the square's box, and may reach beyond it and beyond the map. Rows lie square by square, or,
    `cells_first`, the first cells of all squares before their second ones.
    """

    def __init__(self, boxes: Boxes, top: Tensor, left: Tensor, height: int, width: int, cells_first: bool) -> None:
        self.boxes, self.top, self.left, self.width = boxes, top, left, width
        count = len(top)
        self.cell_step, square_step = (count, 1) if cells_first else (1, height * width)
        self.square = torch.arange(count, device=top.device) * square_step

    def vertical(self, cells: Tensor) -> Cells:
        row = (cells - self.top[:, None]) * (self.width * self.cell_step) + self.square[:, None]
        return Cells(_between(cells, self.boxes.top, self.boxes.bottom), row)

    def horizontal(self, cells: Tensor) -> Cells:
        row = (cells - self.left[:, None]) * self.cell_step
        return Cells(_between(cells, self.boxes.left, self.boxes.right), row)


def _between(cells: Tensor, low: Tensor, high: Tensor) -> Tensor:
    return (cells >= low[:, None]) & (cells < high[:, None])
