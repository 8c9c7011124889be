"""Where squares stand, by hand and by counting."""

from itertools import pairwise

import pytest
import torch

from zfnet_explainer.methods.squares import Squares, smallest_stride, spread, squares


@pytest.mark.parametrize(
    ("size", "window", "stride", "starts"),
    [
        (224, 32, 8, [*range(0, 193, 8)]),
        (224, 17, 10, [*range(0, 201, 10), 207]),
        (224, 50, 12, [*range(0, 169, 12), 174]),
        (224, 224, 1, [0]),
        (224, 224, 224, [0]),
        (10, 4, 4, [0, 4, 6]),
        (12, 4, 4, [0, 4, 8]),
        (7, 5, 1, [0, 1, 2]),
        (5, 1, 1, [0, 1, 2, 3, 4]),
        (6, 5, 5, [0, 1]),
    ],
)
def test_starts_by_hand(size: int, window: int, stride: int, starts: list[int]) -> None:
    grid = squares(size, size, window, stride)
    assert grid == Squares(window, stride, tuple(starts), tuple(starts))
    assert len(grid) == len(starts) ** 2


def test_the_default_grid_has_25_by_25_squares() -> None:
    assert len(squares(224, 224, 32, 8)) == 25 * 25


def test_corners_run_row_by_row() -> None:
    assert squares(5, 6, 4, 2).corners.tolist() == [[0, 0], [0, 2], [1, 0], [1, 2]]
    assert squares(4, 6, 4, 4).corners.tolist() == [[0, 0], [0, 2]]
    assert squares(4, 4, 4, 4).corners.tolist() == [[0, 0]]


@pytest.mark.parametrize("window", range(1, 12))
def test_every_pixel_is_covered_by_whole_squares(window: int) -> None:
    for height, width in ((11, 13), (12, 11)):
        for stride in range(1, window + 1):
            grid = squares(height, width, window, stride)
            for starts, size in ((grid.tops, height), (grid.lefts, width)):
                assert starts[0] == 0
                assert starts[-1] == size - window
                steps = [b - a for a, b in pairwise(starts)]
                assert set(steps[:-1]) <= {stride}
                assert all(0 < step <= stride for step in steps)


@pytest.mark.parametrize("limit", [1, 2, 4, 5, 9, 12, 100, 168, 169])
@pytest.mark.parametrize(("height", "width"), [(13, 13), (13, 17), (20, 13)])
def test_smallest_stride(height: int, width: int, limit: int) -> None:
    for window in range(1, 14):
        fitting = [stride for stride in range(1, window + 1) if len(squares(height, width, window, stride)) <= limit]
        assert smallest_stride(height, width, window, limit) == min(fitting, default=None)


@pytest.mark.parametrize(
    ("window", "stride", "message"),
    [
        (0, 1, "window must be 1 to 9 pixels, got 0"),
        (10, 1, "window must be 1 to 9 pixels, got 10"),
        (-3, 1, "window must be 1 to 9 pixels, got -3"),
        (4, 0, "stride must be 1 to 4 pixels .*, got 0"),
        (4, 5, "stride must be 1 to 4 pixels .*, got 5"),
    ],
)
def test_what_does_not_fit_is_refused(window: int, stride: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        squares(9, 12, window, stride)


def test_spread_by_hand() -> None:
    """2 x 2 squares of 3 pixels on 4 x 4: a corner has one square, the middle all four."""
    values = torch.tensor([[1.0, 3.0], [5.0, 11.0]])
    assert spread(squares(4, 4, 3, 1), values, 4, 4).tolist() == [
        [1.0, 2.0, 2.0, 3.0],
        [3.0, 5.0, 5.0, 7.0],
        [3.0, 5.0, 5.0, 7.0],
        [5.0, 8.0, 8.0, 11.0],
    ]


def test_spread_leaves_uncovered_pixels_at_zero() -> None:
    assert spread(Squares(1, 1, (0,), (1,)), torch.tensor([[2.0]]), 2, 2).tolist() == [[0.0, 2.0], [0.0, 0.0]]
