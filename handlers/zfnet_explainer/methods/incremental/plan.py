"""What a grid of squares changes in each layer of a chain, and how each layer is best recomputed there."""

from dataclasses import dataclass
from enum import StrEnum
from itertools import product

import torch
from torch import Tensor, nn

from ...net.chain import Chain
from ...net.geometry import Axes, Interval
from ..squares import Squares
from .axis import AxisWork, direct, grouped_by_tiles, tiled
from .rows import Boxes, Recomputed, cells_from
from .winograd import Tile, tiles_for

Corners = tuple[Tensor, Tensor]
Intervals = tuple[list[Interval], list[Interval]]

TRANSFORMABLE = torch.float32, torch.float64, torch.bfloat16  # float16's range is too short for Winograd's sums
GROUP_SIZE = 48  # squares that a group has at least, on average: fewer are not worth products of their own


class Way(StrEnum):
    """How squares are evaluated: each through the whole net, or only what they change, all alike or in groups."""

    FULL = "full"
    ONE_GROUP = "one_group"
    GROUPS = "groups"


@dataclass(frozen=True)
class Work:
    """How one layer is recomputed: by tiles of the form `tile`, or directly; and what that takes for one square.

    `multiply_adds` of convolutions, and `values` that are held at a time.
    """

    vertical: AxisWork
    horizontal: AxisWork
    tile: Tile | None
    multiply_adds: int
    values: int


@dataclass(frozen=True)
class Place:
    """Where one layer is recomputed for each of a group's squares, on the chain's device.

    The boxes, and (row, column) of the first recomputed output and of the first value read for it.
    """

    work: Work
    boxes: Boxes
    firsts: Corners
    starts: Corners

    def region(self, squares: slice) -> Recomputed:
        """What is recomputed for some of the squares."""
        (top, left), work = self.firsts, self.work
        boxes = self.boxes.of(squares)
        return Recomputed(boxes, top[squares], left[squares], work.vertical.length, work.horizontal.length)

    def read(self, squares: slice) -> tuple[Tensor, Tensor]:
        """The cells that are read for it, down and across, [squares, n] each."""
        top, left = self.starts
        return cells_from(top[squares], self.work.vertical.reads), cells_from(left[squares], self.work.horizontal.reads)


@dataclass(frozen=True)
class Group:
    """Squares that are recomputed alike, at `rows` x `cols` of their grid, and where: in the picture, in each layer."""

    rows: list[int]
    cols: list[int]
    squares: Squares
    painted: Boxes
    places: dict[str, Place]

    @property
    def multiply_adds(self) -> int:
        return len(self.squares) * sum(place.work.multiply_adds for place in self.places.values())

    @property
    def values(self) -> int:
        """The most values that a square holds at a time."""
        return max(place.work.values for place in self.places.values())


def plan(chain: Chain, dtype: torch.dtype, device: torch.device, squares: Squares, way: Way) -> list[Group]:
    """The squares, all in one group, or in groups by how many tiles they take in the last layer that is tiled.

    Near the border, and by where a square stands between the steps of strides, it changes fewer cells. One group has
    larger products in the place of fewer multiplications.
    """
    candidates = {name: _candidates(chain.layer(name), dtype) for name in chain.axes}
    layers = [(*axes, candidates[name]) for name, axes in chain.axes.items()]
    down = [(axis, {tile.vertical for tile in tiles}) for axis, _, tiles in layers]
    across = [(axis, {tile.horizontal for tile in tiles}) for _, axis, tiles in layers]
    rows = grouped_by_tiles(down, squares.tops, squares.window)
    cols = grouped_by_tiles(across, squares.lefts, squares.window)
    if way is Way.ONE_GROUP or len(squares) < GROUP_SIZE * len(rows) * len(cols):
        rows, cols = [list(range(len(squares.tops)))], [list(range(len(squares.lefts)))]
    return [_group(chain, squares, candidates, *at, device) for at in product(rows, cols)]


def _candidates(layer: nn.Module, dtype: torch.dtype) -> list[Tile]:
    return tiles_for(layer) if isinstance(layer, nn.Conv2d) and dtype in TRANSFORMABLE else []


def _group(
    chain: Chain,
    squares: Squares,
    candidates: dict[str, list[Tile]],
    rows: list[int],
    cols: list[int],
    device: torch.device,
) -> Group:
    tops, lefts = tuple(squares.tops[i] for i in rows), tuple(squares.lefts[i] for i in cols)
    some = Squares(squares.window, squares.stride, tops, lefts)
    changes = _trace(chain, some)
    painted = Boxes.grid(*next(iter(changes.values()))).to(device)
    maps, places = chain.input_size[0], {}
    for name, changed in changes.items():
        layer = chain.layer(name)
        work = _choose(layer, chain.axes[name], changed, maps, candidates[name])
        places[name] = _place(work, device)
        maps = _maps_given(layer, maps)
    return Group(rows, cols, some, painted, places)


def _trace(chain: Chain, squares: Squares) -> dict[str, Intervals]:
    """What squares change of the values that each layer reads, down and across."""
    vertical: list[Interval] = [(top, top + squares.window) for top in squares.tops]
    horizontal: list[Interval] = [(left, left + squares.window) for left in squares.lefts]
    found = {}
    for name, (down, across) in chain.axes.items():
        found[name] = vertical, horizontal
        vertical, horizontal = [down.touched(i) for i in vertical], [across.touched(i) for i in horizontal]
    return found


def _choose(layer: nn.Module, axes: Axes, changed: Intervals, maps: int, candidates: list[Tile]) -> Work:
    """The work of fewest multiply-adds for a layer that reads so many maps."""
    tilewise = [_by_tiles(layer, axes, changed, tile) for tile in candidates if isinstance(layer, nn.Conv2d)]
    return min([_directly(layer, axes, changed, maps), *tilewise], key=lambda work: work.multiply_adds)


def _directly(layer: nn.Module, axes: Axes, changed: Intervals, maps: int) -> Work:
    vertical, horizontal = direct(axes[0], changed[0]), direct(axes[1], changed[1])
    outputs = vertical.length * horizontal.length
    return Work(
        vertical,
        horizontal,
        tile=None,
        multiply_adds=layer.weight.numel() * outputs if isinstance(layer, nn.Conv2d) else 0,
        values=vertical.reads * horizontal.reads * maps + 2 * outputs * _maps_given(layer, maps),
    )


def _by_tiles(layer: nn.Conv2d, axes: Axes, changed: Intervals, tile: Tile) -> Work:
    before, after = layer.in_channels, layer.out_channels
    vertical, horizontal = tiled(axes[0], changed[0], tile.vertical), tiled(axes[1], changed[1], tile.horizontal)
    count = vertical.tile_count * horizontal.tile_count
    read = vertical.reads * horizontal.reads * before
    given = vertical.length * horizontal.length * after
    between = count * tile.outputs * (before * tile.block + 2 * after)
    return Work(
        vertical,
        horizontal,
        tile,
        multiply_adds=count * tile.multiplications(before, after),
        values=2 * read + between + given,  # what is read, twice, for its differences
    )


def _maps_given(layer: nn.Module, maps: int) -> int:
    return layer.out_channels if isinstance(layer, nn.Conv2d) else maps


def _place(work: Work, device: torch.device) -> Place:
    return Place(
        work,
        boxes=Boxes.grid(work.vertical.changed, work.horizontal.changed).to(device),
        firsts=_corners(work.vertical.firsts, work.horizontal.firsts, device),
        starts=_corners(work.vertical.starts, work.horizontal.starts, device),
    )


def _corners(down: list[int], across: list[int], device: torch.device) -> Corners:
    """Both parts of every pair, the second one running fastest."""
    starts = (torch.tensor(each, device="cpu") for each in (down, across))
    grid = torch.cartesian_prod(*starts).view(-1, 2).to(device)
    return grid[:, 0], grid[:, 1]
