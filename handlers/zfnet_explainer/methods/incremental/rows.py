"""Where in memory the values of a square's map are, which is not written out between layers.

A layer's values are rows, each the channels of one cell: the clean map's, which all squares share, and behind
them the recomputed region of every square. Reading squares' maps is one gather of rows:

    [ clean rows | square 0 | square 1 | ... ]

The cells that a square changes are a box, and its region's rows run line by line. So whether a cell changed is
the conjunction, and which row it is the sum, of a vertical and a horizontal part:

    changed(y, x) = changed(y) and changed(x)        row(y, x) = row(y) + row(x)

A patch of h x w cells takes h + w parts of each.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cache
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from ...net.chain import Activations, Chain
from ...net.geometry import Axis, Interval


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
        top, bottom = torch.tensor(vertical, device="cpu").repeat_interleave(len(horizontal), 0).unbind(1)
        left, right = torch.tensor(horizontal, device="cpu").repeat(len(vertical), 1).unbind(1)
        return cls(top, left, bottom, right)

    def of(self, squares: slice) -> "Boxes":
        return Boxes(self.top[squares], self.left[squares], self.bottom[squares], self.right[squares])

    def to(self, device: torch.device) -> "Boxes":
        return Boxes(*(edge.to(device, non_blocking=True) for edge in (self.top, self.left, self.bottom, self.right)))


class SquareRows(ABC):
    """The rows of the cells that squares change: `boxes` says which, and each kind of rows where they are."""

    def __init__(self, boxes: Boxes) -> None:
        self.boxes = boxes

    @abstractmethod
    def cells(self) -> tuple[Tensor, Tensor]:
        """The cells that the rows are, `down` [squares, h] by `across` [squares, w]."""

    @abstractmethod
    def vertical(self, down: Tensor) -> Tensor:
        """The vertical part of changed cells' rows [squares, h]."""

    @abstractmethod
    def horizontal(self, across: Tensor) -> Tensor:
        """The horizontal part of changed cells' rows [squares, w]."""

    def index(self, down: Tensor, across: Tensor) -> Tensor:
        """The row of each cell `down` [squares, h] by `across` [squares, w], from 1 on; 0 where it is unchanged."""
        changed_down = _between(down, self.boxes.top, self.boxes.bottom)
        changed_across = _between(across, self.boxes.left, self.boxes.right)
        changed = changed_down[:, :, None] & changed_across[:, None, :]
        row = (self.vertical(down) + 1)[:, :, None] + self.horizontal(across)[:, None, :]
        return row * changed


class Painted(SquareRows):
    """The picture itself: what a square covers is the fill's pixel there, and all squares share the fill's rows."""

    def __init__(self, boxes: Boxes, height: int, width: int) -> None:
        super().__init__(boxes)
        self.height, self.width = height, width

    def cells(self) -> tuple[Tensor, Tensor]:
        device = self.boxes.top.device
        return torch.arange(self.height, device=device)[None], torch.arange(self.width, device=device)[None]

    def vertical(self, down: Tensor) -> Tensor:
        return down * self.width

    def horizontal(self, across: Tensor) -> Tensor:
        return across


class Recomputed(SquareRows):
    """A region of `height` x `width` cells for each square, from its cell (`top`, `left`) [squares each] on.

    It holds the square's box, and may reach beyond it and beyond the map.
    """

    def __init__(self, boxes: Boxes, top: Tensor, left: Tensor, height: int, width: int) -> None:
        super().__init__(boxes)
        self.top, self.left, self.height, self.width = top, left, height, width
        self._first_row = torch.arange(len(top), device=top.device) * (height * width)

    def cells(self) -> tuple[Tensor, Tensor]:
        return cells_from(self.top, self.height), cells_from(self.left, self.width)

    def vertical(self, down: Tensor) -> Tensor:
        return (down - self.top[:, None]) * self.width + self._first_row[:, None]

    def horizontal(self, across: Tensor) -> Tensor:
        return across - self.left[:, None]


@dataclass(frozen=True)
class CleanRows:
    """The clean map's rows; its first cell is (`top`, `left`), below 0 where it is padded."""

    rows: Tensor
    height: int
    width: int
    top: int = 0
    left: int = 0

    def index(self, down: Tensor, across: Tensor) -> Tensor:
        """The row of each cell `down` [squares, h] by `across` [squares, w]: [squares, h, w].

        A cell beyond the padded map gets the row of the nearest within.
        """
        row = (down - self.top).clamp(0, self.height - 1) * self.width
        return row[:, :, None] + (across - self.left).clamp(0, self.width - 1)[:, None, :]

    def index_with(self, changed: SquareRows, down: Tensor, across: Tensor) -> Tensor:
        """The same of squares' maps, where the rows of changed cells follow the clean ones."""
        row = changed.index(down, across)
        return torch.where(row > 0, row + (len(self.rows) - 1), self.index(down, across))


class CleanMaps:
    """What every layer of a chain reads and gives for one picture; rows are made when they are first asked for.

    By a layer's name, `given` has its map, `below` the map that it reads, and `padded` that with the padding around it.
    """

    def __init__(self, chain: Chain, image: Tensor, clean: Activations) -> None:
        self.maps = maps = {name: clean.outputs[name][0] for name in chain.spatial}
        below = dict(zip(chain.spatial, [image, *maps.values()], strict=False))
        self.given = cache(lambda name: as_rows(maps[name]))
        self.below = cache(lambda name: as_rows(below[name]))
        self.padded = cache(lambda name: _padded(below[name], *chain.axes[name], chain.layer(name)))


def as_rows(x: Tensor, top: int = 0, left: int = 0) -> CleanRows:
    """A map [channels, h, w] whose first cell is (`top`, `left`)."""
    _, height, width = x.shape
    return CleanRows(x.flatten(1).t().contiguous(), height, width, top, left)


def cells_from(first: Tensor, length: int) -> Tensor:
    """The `length` cells [squares, length] from each first one [squares] on."""
    return first[:, None] + torch.arange(length, device=first.device)


def _padded(x: Tensor, vertical: Axis, horizontal: Axis, layer: nn.Module) -> CleanRows:
    """A map [channels, h, w] with the padding that its layer reads."""
    value = -torch.inf if isinstance(layer, nn.MaxPool2d) else 0.0
    pad = (horizontal.padding, horizontal.padding_after, vertical.padding, vertical.padding_after)
    return as_rows(functional.pad(x, pad, value=value), -vertical.padding, -horizontal.padding)


def _between(cells: Tensor, low: Tensor, high: Tensor) -> Tensor:
    return (cells >= low[:, None]) & (cells < high[:, None])
