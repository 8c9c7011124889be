"""Which row a cell of a square's map is in, against maps that are written out square by square."""

import itertools

import pytest
import torch
from torch import Tensor

from zfnet_explainer.methods.changed import Boxes, Changed, Clean, Painted, Tiles

HEIGHT, WIDTH = 7, 9
VERTICAL = [(0, 4), (2, 7), (3, 3), (6, 7)]  # the third square changes nothing
HORIZONTAL = [(0, 1), (4, 9), (0, 9)]


def written_out(boxes: Boxes, clean: Tensor, new: Tensor) -> Tensor:
    """Each square's map [squares, h, w]: the clean one with the new values inside its box."""
    maps = clean.repeat(len(boxes.top), 1, 1)
    for i, (top, left, bottom, right) in enumerate(zip(boxes.top, boxes.left, boxes.bottom, boxes.right, strict=True)):
        maps[i, top:bottom, left:right] = new[i, top:bottom, left:right]
    return maps


def read(clean: Tensor, rows: Tensor, changed: Changed, squares: int, down: range, across: range) -> Tensor:
    kept = Clean(clean.reshape(-1, 1), HEIGHT, WIDTH)
    every = torch.arange(squares)
    cells = (torch.tensor(list(r)).expand(squares, -1) for r in (down, across))
    indices = kept.indices(changed, every, *cells)
    return torch.cat([kept.rows, rows])[indices.flatten(), 0].view(indices.shape)


def values(*shape: int) -> Tensor:
    return torch.arange(float(torch.tensor(shape).prod())).view(shape)


@pytest.mark.parametrize("cells_first", [False, True])
@pytest.mark.parametrize(("height", "width"), [(7, 9), (2, 3), (4, 4), (1, 1)])
def test_tiles(height: int, width: int, cells_first: bool) -> None:
    boxes = Boxes.grid(VERTICAL, HORIZONTAL)
    squares = len(VERTICAL) * len(HORIZONTAL)
    clean, new = values(HEIGHT, WIDTH), 1000 + values(squares, HEIGHT, WIDTH)
    tiles = Tiles(boxes, height, width, cells_first, torch.device("cpu"))
    rows = torch.full((height, width, tiles.count) if cells_first else (tiles.count, height, width), -1.0)
    for tile, (square, top, left) in enumerate(zip(tiles.square, tiles.top, tiles.left, strict=True)):
        for dy, dx in itertools.product(range(height), range(width)):
            if top + dy < HEIGHT and left + dx < WIDTH:
                place = (dy, dx, tile) if cells_first else (tile, dy, dx)
                rows[place] = new[square, top + dy, left + dx]
    found = read(clean, rows.reshape(-1, 1), tiles, squares, range(HEIGHT), range(WIDTH))
    assert torch.equal(found, written_out(boxes, clean, new))


def test_tiles_count_what_the_boxes_need() -> None:
    tiles = Tiles(Boxes.grid([(0, 5)], [(0, 4), (2, 2)]), 4, 4, True, torch.device("cpu"))
    assert tiles.count == 2
    assert (tiles.square.tolist(), tiles.top.tolist(), tiles.left.tolist()) == ([0, 0], [0, 4], [0, 0])


def test_painted_squares_show_the_fill() -> None:
    boxes = Boxes.grid(VERTICAL, HORIZONTAL)
    squares = len(VERTICAL) * len(HORIZONTAL)
    clean, fill = values(HEIGHT, WIDTH), 1000 + values(HEIGHT, WIDTH)
    found = read(clean, fill.reshape(-1, 1), Painted(boxes, WIDTH), squares, range(HEIGHT), range(WIDTH))
    assert torch.equal(found, written_out(boxes, clean, fill.repeat(squares, 1, 1)))


def test_a_padded_map_is_read_from_before_its_first_cell() -> None:
    padded = torch.nn.functional.pad(values(HEIGHT, WIDTH), (2, 1, 1, 1), value=-5)
    kept = Clean(padded.reshape(-1, 1), HEIGHT + 2, WIDTH + 3, -1, -2)
    nothing = Tiles(Boxes.grid([(0, 0)], [(0, 0)]), 1, 1, False, torch.device("cpu"))
    indices = kept.indices(nothing, torch.tensor([0]), torch.tensor([[-1, 0, 7]]), torch.tensor([[-2, 0, 9]]))
    assert kept.rows[indices.flatten(), 0].view(3, 3).tolist() == [[-5, -5, -5], [-5, 0, -5], [-5, -5, -5]]


def test_largest() -> None:
    assert Boxes.grid(VERTICAL, HORIZONTAL).largest() == (5, 9)
    assert Boxes.grid([(3, 3)], [(1, 1)]).largest() == (1, 1)
