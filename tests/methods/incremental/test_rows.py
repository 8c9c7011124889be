"""Which row a cell of a square's map is in, against maps that are written out square by square."""

import itertools

import pytest
import torch
from torch import Tensor

from zfnet_explainer.methods.incremental.rows import Boxes, CleanRows, Painted, Recomputed, SquareRows

HEIGHT, WIDTH = 7, 9
VERTICAL = [(0, 4), (2, 7), (3, 3), (6, 7)]  # the third square changes nothing
HORIZONTAL = [(0, 1), (4, 9), (0, 9)]


def written_out(boxes: Boxes, clean: Tensor, new: Tensor) -> Tensor:
    """Each square's map [squares, h, w]: the clean one with the new values inside its box."""
    maps = clean.repeat(len(boxes.top), 1, 1)
    for i, (top, left, bottom, right) in enumerate(zip(boxes.top, boxes.left, boxes.bottom, boxes.right, strict=True)):
        maps[i, top:bottom, left:right] = new[i, top:bottom, left:right]
    return maps


def read(clean: Tensor, rows: Tensor, changed: SquareRows, squares: int, down: range, across: range) -> Tensor:
    held = CleanRows(clean.reshape(-1, 1), HEIGHT, WIDTH)
    cells = (torch.tensor(list(r)).expand(squares, -1) for r in (down, across))
    indices = held.index_with(changed, *cells)
    return torch.cat([held.rows, rows])[indices.flatten(), 0].view(indices.shape)


def values(*shape: int) -> Tensor:
    return torch.arange(float(torch.tensor(shape).prod())).view(shape)


@pytest.mark.parametrize(("height", "width", "before"), [(5, 9, 0), (7, 11, 2), (9, 10, 1)])
def test_recomputed_cells_are_read_where_they_changed(height: int, width: int, before: int) -> None:
    """Regions that begin some cells before their box, and go beyond it and the map."""
    boxes = Boxes.grid(VERTICAL, HORIZONTAL)
    squares = len(VERTICAL) * len(HORIZONTAL)
    clean, new = values(HEIGHT, WIDTH), 1000 + values(squares, HEIGHT, WIDTH)
    top, left = boxes.top - before, boxes.left - before
    recomputed = Recomputed(boxes, top, left, height, width)
    rows = torch.full((squares, height, width), -1.0)
    for square, dy, dx in itertools.product(range(squares), range(height), range(width)):
        row, column = int(top[square]) + dy, int(left[square]) + dx
        if 0 <= row < HEIGHT and 0 <= column < WIDTH:
            rows[square, dy, dx] = new[square, row, column]
    found = read(clean, rows.reshape(-1, 1), recomputed, squares, range(HEIGHT), range(WIDTH))
    assert torch.equal(found, written_out(boxes, clean, new))


@pytest.mark.parametrize("before", [0, 1])
def test_every_changed_cell_of_a_region_is_in_the_row_that_stands_for_it(before: int) -> None:
    boxes = Boxes.grid(VERTICAL, HORIZONTAL)
    height, width = 6 + before, 9 + before
    recomputed = Recomputed(boxes, boxes.top - before, boxes.left - before, height, width)
    down, across = recomputed.cells()
    rows = recomputed.index(down, across)
    inside = torch.zeros(rows.shape, dtype=torch.bool)
    for i, (top, left, bottom, right) in enumerate(zip(boxes.top, boxes.left, boxes.bottom, boxes.right, strict=True)):
        inside[i, before : before + bottom - top, before : before + right - left] = True
    numbered = torch.arange(1, rows.numel() + 1).view(rows.shape)
    assert torch.equal(rows, torch.where(inside, numbered, 0))


def test_the_whole_fill_is_the_region_of_painted_squares() -> None:
    painted = Painted(Boxes.grid([(0, HEIGHT)], [(0, WIDTH)]), HEIGHT, WIDTH)
    assert torch.equal(painted.index(*painted.cells()), torch.arange(1, HEIGHT * WIDTH + 1).view(1, HEIGHT, WIDTH))


def test_cells_beyond_the_map_are_the_nearest_within() -> None:
    held = CleanRows(values(HEIGHT, WIDTH).reshape(-1, 1), HEIGHT, WIDTH)
    cells = held.index(torch.tensor([[-2, 0, 8]]), torch.tensor([[-1, 3, 9]]))
    assert held.rows[cells.flatten(), 0].view(3, 3).tolist() == [[0, 3, 8], [0, 3, 8], [54, 57, 62]]


def test_painted_squares_show_the_fill() -> None:
    boxes = Boxes.grid(VERTICAL, HORIZONTAL)
    squares = len(VERTICAL) * len(HORIZONTAL)
    clean, fill = values(HEIGHT, WIDTH), 1000 + values(HEIGHT, WIDTH)
    found = read(clean, fill.reshape(-1, 1), Painted(boxes, HEIGHT, WIDTH), squares, range(HEIGHT), range(WIDTH))
    assert torch.equal(found, written_out(boxes, clean, fill.repeat(squares, 1, 1)))


def test_a_padded_map_is_read_from_before_its_first_cell() -> None:
    padded = torch.nn.functional.pad(values(HEIGHT, WIDTH), (2, 1, 1, 1), value=-5)
    held = CleanRows(padded.reshape(-1, 1), HEIGHT + 2, WIDTH + 3, -1, -2)
    first = torch.zeros(1, dtype=torch.long)
    nothing = Recomputed(Boxes.grid([(0, 0)], [(0, 0)]), first, first, 1, 1)
    indices = held.index_with(nothing, torch.tensor([[-1, 0, 7]]), torch.tensor([[-2, 0, 9]]))
    assert held.rows[indices.flatten(), 0].view(3, 3).tolist() == [[-5, -5, -5], [-5, 0, -5], [-5, -5, -5]]
