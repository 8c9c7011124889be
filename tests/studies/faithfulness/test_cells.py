"""Covering a picture cell by cell, against painting it by hand."""

import math

import pytest
import torch
from torch import Tensor

from zfnet_explainer.studies.faithfulness import cells
from zfnet_explainer.studies.faithfulness.cells import (
    cell_means,
    closeness,
    cover,
    deletion_curves,
    grid_of,
    largest_share,
    most_first,
)

from ...chains import like_zfnet, picture, plain

SIDE, GRID = 4, (6, 5)
SIZE = (3, 22, 19)  # the last row of cells has two rows of pixels, the last column three columns


def painted(image: Tensor, fill: Tensor, places: list[int]) -> Tensor:
    """The picture with these cells of it filled, one by one."""
    result = image.clone()
    for cell in places:
        top, left = (SIDE * step for step in divmod(cell, GRID[1]))
        result[:, top : top + SIDE, left : left + SIDE] = fill[:, top : top + SIDE, left : left + SIDE]
    return result


def test_cover_paints_cells() -> None:
    image, fill = torch.randn(2, *SIZE, generator=torch.Generator().manual_seed(0))
    covered = torch.zeros(2, *GRID, dtype=torch.bool)
    covered[0, 0, 1] = covered[0, 5, 4] = covered[1, 2, 0] = True
    found = cover(image, fill, covered, SIDE)
    assert torch.equal(found[0], painted(image, fill, [1, 29]))
    assert torch.equal(found[1], painted(image, fill, [10]))


def test_means_of_cells() -> None:
    assert cell_means(torch.arange(8.0).view(2, 4), 2).tolist() == [[2.5, 4.5]]
    assert cell_means(torch.arange(9.0).view(3, 3), 2).tolist() == [[2, 3.5], [6.5, 8]], "of the pixels that are there"


def test_the_grid_reaches_the_border() -> None:
    assert grid_of(torch.zeros(SIZE), SIDE) == GRID
    assert grid_of(torch.zeros(3, 8, 9), SIDE) == (2, 3)


def test_the_middle_is_closest() -> None:
    assert closeness(3, 2).tolist() == [[-1.25, -1.25], [-0.25, -0.25], [-1.25, -1.25]]


def test_most_first_draws_among_equals() -> None:
    scores = torch.tensor([[0.0, 3.0, 0.0], [5.0, 0.0, -1.0]])
    generator = torch.Generator().manual_seed(0)
    orders = [tuple(most_first(scores, generator).tolist()) for _ in range(60)]
    assert all(order[:2] == (3, 1) and order[-1] == 5 for order in orders)
    assert {order[2:5] for order in orders} == {(0, 2, 4), (0, 4, 2), (2, 0, 4), (2, 4, 0), (4, 0, 2), (4, 2, 0)}


def test_the_largest_share_has_at_least_one_cell_and_draws_among_equals() -> None:
    generator = torch.Generator().manual_seed(0)
    scores = torch.arange(35.0).view(5, 7)
    assert largest_share(scores, 0.1, generator).nonzero().tolist() == [[4, 3], [4, 4], [4, 5], [4, 6]]
    assert int(largest_share(torch.zeros(1, 2), 0.1, generator).sum()) == 1
    drawn = torch.stack([largest_share(torch.zeros(3, 2), 0.5, generator) for _ in range(40)])
    assert (drawn.sum((1, 2)) == 3).all()
    assert len({tuple(one) for one in drawn.flatten(1).tolist()}) > 10


@pytest.mark.parametrize(("steps", "batch"), [(7, 64), (3, 2), (15, 11)])
def test_curves_equal_painting_by_hand(steps: int, batch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cells, "BATCH", batch)
    chain = like_zfnet(size=SIZE)
    image, fill = picture(chain, 1), picture(chain, 2)
    generator = torch.Generator().manual_seed(0)
    orders = torch.stack([torch.randperm(30, generator=generator) for _ in range(2)])
    found = deletion_curves(chain, image, fill, 3, orders, SIDE, steps)
    assert found.shape == (2, steps + 1)
    for order, curve in zip(orders.tolist(), found.tolist(), strict=True):
        for step, probability in enumerate(curve):
            count = math.floor(30 * step / steps + 0.5)
            x = painted(image, fill, order[:count])
            assert probability == pytest.approx(float(plain(chain)(x[None]).softmax(1)[0, 3]), abs=1e-6)


def test_insertion_is_deletion_in_the_reversed_order_read_backwards() -> None:
    chain = like_zfnet(size=SIZE)
    image, fill = picture(chain, 1), picture(chain, 2)
    order = torch.randperm(30, generator=torch.Generator().manual_seed(0))
    found = deletion_curves(chain, image, fill, 0, order.flip(0)[None], SIDE, 10)[0].flip(0)
    for step, probability in enumerate(found.tolist()):
        x = painted(fill, image, order.tolist()[: 3 * step])
        assert probability == pytest.approx(float(plain(chain)(x[None]).softmax(1)[0, 0]), abs=1e-6)
