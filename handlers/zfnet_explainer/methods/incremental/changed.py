"""Which cells of a layer's map a square changes, and where in memory their new values are.

A layer's values are rows of channels: first the clean map's cells, which all squares share, then the
recomputed cells of the squares. Reading patches of the squares' maps is then one gather of rows. Whether
a cell changed, and which row it is, is the conjunction and the sum of a vertical and a horizontal part.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from ...net.geometry import Interval


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


class Changed(ABC):
    """Rows of changed cells, and which cells of squares' maps they are, an axis at a time."""

    @abstractmethod
    def vertical(self, cells: Tensor) -> Cells: ...

    @abstractmethod
    def horizontal(self, cells: Tensor) -> Cells: ...

    @abstractmethod
    def region(self) -> tuple[Tensor, Tensor]:
        """The cells that the rows are, `down` [squares, h] by `across` [squares, w]."""

    def rows(self, down: Tensor, across: Tensor) -> Tensor:
        """Which row holds each cell `down` [squares, h] by `across` [squares, w], from 1 on; 0 where unchanged."""
        vertical, horizontal = self.vertical(down), self.horizontal(across)
        row = (vertical.row + 1)[:, :, None] + horizontal.row[:, None, :]
        return row * (vertical.changed[:, :, None] & horizontal.changed[:, None, :])


class Painted(Changed):
    """The picture itself: what a square covers is the fill's pixel there, a changed row for every pixel."""

    def __init__(self, boxes: Boxes, height: int, width: int) -> None:
        self.boxes, self.height, self.width = boxes, height, width

    def vertical(self, cells: Tensor) -> Cells:
        return Cells(_between(cells, self.boxes.top, self.boxes.bottom), cells * self.width)

    def horizontal(self, cells: Tensor) -> Cells:
        return Cells(_between(cells, self.boxes.left, self.boxes.right), cells)

    def region(self) -> tuple[Tensor, Tensor]:
        device = self.boxes.top.device
        return torch.arange(self.height, device=device)[None], torch.arange(self.width, device=device)[None]


class Recomputed(Changed):
    """One region of `height` x `width` rows a square, whose first cell is (`top`, `left`) [squares each].

    It holds the square's box, and may reach beyond it and beyond the map. Rows lie square by square.
    """

    def __init__(self, boxes: Boxes, top: Tensor, left: Tensor, height: int, width: int) -> None:
        self.boxes, self.top, self.left, self.height, self.width = boxes, top, left, height, width
        self.square = torch.arange(len(top), device=top.device) * (height * width)

    def vertical(self, cells: Tensor) -> Cells:
        row = (cells - self.top[:, None]) * self.width + self.square[:, None]
        return Cells(_between(cells, self.boxes.top, self.boxes.bottom), row)

    def horizontal(self, cells: Tensor) -> Cells:
        return Cells(_between(cells, self.boxes.left, self.boxes.right), cells - self.left[:, None])

    def region(self) -> tuple[Tensor, Tensor]:
        return cells_from(self.top, self.height), cells_from(self.left, self.width)


def cells_from(first: Tensor, length: int) -> Tensor:
    """The `length` cells [squares, length] from each first one [squares] on."""
    return first[:, None] + torch.arange(length, device=first.device)


def _between(cells: Tensor, low: Tensor, high: Tensor) -> Tensor:
    return (cells >= low[:, None]) & (cells < high[:, None])
