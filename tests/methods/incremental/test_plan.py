"""Squares in groups that are recomputed alike."""

import torch

from zfnet_explainer.methods.incremental.axis import grouped_by_tiles
from zfnet_explainer.methods.incremental.plan import Way, plan
from zfnet_explainer.methods.incremental.winograd import TileSide
from zfnet_explainer.methods.squares import squares
from zfnet_explainer.net.chain import Chain
from zfnet_explainer.net.geometry import Axis

CPU = torch.device("cpu")


def test_positions_are_alike_that_take_equally_many_tiles() -> None:
    """A square of 4 over 12 values: a kernel of 3 makes 6 outputs of it, 5 at either end, and of those two tiles."""
    first = Axis(kernel=3, stride=1, padding=1, size_in=12, size_out=12)
    threes, fours, fives = (TileSide(inputs, kernel=3, stride=1) for inputs in (3, 4, 5))
    starts = tuple(range(9))
    assert grouped_by_tiles([(first, set()), (first, {threes})], starts, 4) == [list(starts)], (
        "5 and 6 values are two tiles of 3"
    )
    assert grouped_by_tiles([(first, set()), (first, {fives})], starts, 4) == [[0, 8], [1, 2, 3, 4, 5, 6, 7]]
    assert grouped_by_tiles([(first, set()), (first, {threes, fives})], starts, 4) == [[0, 8], [1, 2, 3, 4, 5, 6, 7]]
    assert grouped_by_tiles([(first, {fours})], starts, 4) == [list(starts)], "the square itself is one tile everywhere"
    assert grouped_by_tiles([(first, set())], starts, 4) == [list(starts)]


def test_every_square_is_in_one_group(random_zfnet: Chain) -> None:
    grid = squares(224, 224, 32, 8)
    groups = plan(random_zfnet, torch.float32, CPU, grid, Way.GROUPS)
    assert len(groups) == 9
    found = sorted((row, col) for group in groups for row in group.rows for col in group.cols)
    assert found == [(row, col) for row in range(25) for col in range(25)]
    for group in groups:
        assert group.squares.tops == tuple(grid.tops[row] for row in group.rows)
        assert group.squares.lefts == tuple(grid.lefts[col] for col in group.cols)


def test_groups_save_multiplications(random_zfnet: Chain) -> None:
    grid = squares(224, 224, 32, 8)
    apart = sum(group.multiply_adds for group in plan(random_zfnet, torch.float32, CPU, grid, Way.GROUPS))
    [together] = plan(random_zfnet, torch.float32, CPU, grid, Way.ONE_GROUP)
    assert apart < 0.9 * together.multiply_adds


def test_few_squares_stay_together(random_zfnet: Chain) -> None:
    few = squares(224, 224, 32, 32)
    assert len(plan(random_zfnet, torch.float32, CPU, few, Way.GROUPS)) == 1
