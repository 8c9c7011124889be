"""Which cells of a layer's map a square changes, and where in memory their new values are.

A layer's values are rows of channels: first the clean map's cells, which all squares share, then the
recomputed cells of each square, tile by tile. Reading patches of the squares' maps is then one gather
of rows. Whether a cell changed, and which row it is, is the conjunction and the sum of a vertical and
a horizontal part.
"""

from dataclasses import dataclass
from typing import Protocol

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
    def grid(cls, vertical: list[Interval], horizontal: list[Interval]) -> "Boxes":
        """Of every pair of a vertical and a horizontal interval, the horizontal one running fastest."""
        top, bottom = torch.tensor(vertical).repeat_interleave(len(horizontal), 0).unbind(1)
        left, right = torch.tensor(horizontal).repeat(len(vertical), 1).unbind(1)
        return cls(top, left, bottom, right)

    def part(self, squares: slice) -> "Boxes":
        return Boxes(self.top[squares], self.left[squares], self.bottom[squares], self.right[squares])

    def largest(self) -> tuple[int, int]:
        """Height and width, at least 1, that no box exceeds."""
        return max(1, int((self.bottom - self.top).max())), max(1, int((self.right - self.left).max()))

    def to(self, device: torch.device) -> "Boxes":
        return Boxes(*(edge.to(device, non_blocking=True) for edge in (self.top, self.left, self.bottom, self.right)))


@dataclass(frozen=True)
class Cells:
    """Cells along one axis [patches, n]: whether they changed, and their part of a changed row's index."""

    changed: Tensor
    row: Tensor


class Changed(Protocol):
    """Says for cells of squares' maps, an axis at a time, whether they changed and in which row they are."""

    def vertical(self, square: Tensor, cells: Tensor) -> Cells: ...

    def horizontal(self, square: Tensor, cells: Tensor) -> Cells: ...


class Painted:
    """The picture itself: what a square covers is the fill's pixel there, a changed row for every pixel."""

    def __init__(self, boxes: Boxes, width: int) -> None:
        self.boxes, self.width = boxes, width

    def vertical(self, square: Tensor, cells: Tensor) -> Cells:
        return Cells(_between(cells, self.boxes.top[square], self.boxes.bottom[square]), cells * self.width)

    def horizontal(self, square: Tensor, cells: Tensor) -> Cells:
        return Cells(_between(cells, self.boxes.left[square], self.boxes.right[square]), cells)


class Tiles:
    """Tiles of `height` x `width` cells over the boxes, each box tiled from its own corner on.

    `square`, `top` and `left` say whose a tile is and where it stands [tiles]; it may reach beyond its
    box, and beyond the map. Rows lie tile by tile, or, `cells_first`, the first cells of all tiles
    before their second ones.
    """

    def __init__(self, boxes: Boxes, height: int, width: int, cells_first: bool, device: torch.device) -> None:
        self.height, self.width = height, width
        down = -(-(boxes.bottom - boxes.top) // height)
        across = -(-(boxes.right - boxes.left) // width)
        counts = down * across
        first = counts.cumsum(0) - counts
        self.count = int(counts.sum())
        self.boxes, self.first, self.across = boxes.to(device), first.to(device), across.to(device)
        self.square = torch.arange(len(counts)).repeat_interleave(counts).to(device)
        place = torch.arange(self.count, device=device) - self.first[self.square]
        columns = self.across[self.square]
        self.top = self.boxes.top[self.square] + place.div(columns, rounding_mode="floor") * height
        self.left = self.boxes.left[self.square] + place.remainder(columns) * width
        self._tile_step, self._cell_step = (1, self.count) if cells_first else (height * width, 1)

    def vertical(self, square: Tensor, cells: Tensor) -> Cells:
        top = self.boxes.top[square]
        tile, cell = _split(cells - top[:, None], self.height)
        tile = self.first[square, None] + tile * self.across[square, None]
        row = tile * self._tile_step + cell * (self.width * self._cell_step)
        return Cells(_between(cells, top, self.boxes.bottom[square]), row)

    def horizontal(self, square: Tensor, cells: Tensor) -> Cells:
        left = self.boxes.left[square]
        tile, cell = _split(cells - left[:, None], self.width)
        return Cells(_between(cells, left, self.boxes.right[square]), tile * self._tile_step + cell * self._cell_step)


@dataclass(frozen=True)
class Clean:
    """The clean map's cells as rows of channels; its first cell is (`top`, `left`), below 0 where it is padded."""

    rows: Tensor
    height: int
    width: int
    top: int = 0
    left: int = 0

    def indices(self, changed: Changed, square: Tensor, down: Tensor, across: Tensor) -> Tensor:
        """Which rows, clean ones first, hold the cells `down` [patches, h] by `across` [patches, w] of squares' maps.

        [patches, h, w]. A cell beyond the padded map gets some row: only what a tile has over reads it.
        """
        vertical, horizontal = changed.vertical(square, down), changed.horizontal(square, across)
        clean_down = (down - self.top).clamp(0, self.height - 1) * self.width
        clean_across = (across - self.left).clamp(0, self.width - 1)
        return torch.where(
            vertical.changed[:, :, None] & horizontal.changed[:, None, :],
            (vertical.row + len(self.rows))[:, :, None] + horizontal.row[:, None, :],
            clean_down[:, :, None] + clean_across[:, None, :],
        )


def _split(offset: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Tile, and cell within it, of cells counted from the box's corner."""
    tile = offset.div(size, rounding_mode="floor")
    return tile, offset - tile * size


def _between(cells: Tensor, low: Tensor, high: Tensor) -> Tensor:
    return (cells >= low[:, None]) & (cells < high[:, None])
