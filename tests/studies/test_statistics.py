"""Means, shares and correlations against textbook formulas."""

import math

import numpy as np
import pytest
import torch

from zfnet_explainer.studies.statistics import (
    Estimate,
    correlation,
    mean_estimate,
    mean_share,
    rank_correlation,
    share_estimate,
)


def test_the_interval_of_a_mean_is_that_of_the_normal_distribution() -> None:
    values = np.random.default_rng(0).normal(3, 2, 400)
    found = mean_estimate(values, seed=1)
    half = 1.96 * values.std() / math.sqrt(len(values))
    assert found.mean == pytest.approx(values.mean())
    assert found.low == pytest.approx(values.mean() - half, abs=0.05 * half)
    assert found.high == pytest.approx(values.mean() + half, abs=0.05 * half)


def test_the_seed_draws_the_resamples() -> None:
    values = [0.1, 0.5, 0.2, 0.9, 0.4]
    assert mean_estimate(values, seed=3) == mean_estimate(values, seed=3)
    assert mean_estimate(values, seed=3) != mean_estimate(values, seed=4)


def test_equal_values_have_no_spread() -> None:
    assert mean_estimate([0.25, 0.25, 0.25], seed=0) == Estimate(0.25, 0.25, 0.25)


@pytest.mark.parametrize(("count", "of"), [(8, 10), (0, 7), (2944, 3921)])
def test_wilsons_interval(count: int, of: int) -> None:
    z, p = 1.959964, count / of
    centre = (p + z**2 / (2 * of)) / (1 + z**2 / of)
    half = z / (1 + z**2 / of) * math.sqrt(p * (1 - p) / of + z**2 / (4 * of**2))
    found = share_estimate(count, of)
    assert (found.mean, found.low, found.high) == pytest.approx((p, centre - half, centre + half), abs=1e-6)


@pytest.mark.parametrize("always", [0.0, 1.0])
def test_what_was_never_or_always_so_in_twenty_pictures_has_an_interval(always: float) -> None:
    z = 1.959964
    width = z**2 / (20 + z**2)  # of Wilson's interval at the end of the scale: 16 %
    found = mean_share(np.full(20, always), seed=0)
    low, high = (0, width) if always == 0 else (1 - width, 1)
    assert (found.mean, found.low, found.high) == pytest.approx((always, low, high), abs=1e-6)


def test_shares_of_several_draws_are_resampled() -> None:
    values = np.array([0.25, 0.0, 1.0, 0.5])
    assert mean_share(values, seed=3) == mean_estimate(values, seed=3)
    assert mean_share(values.round(), seed=3) == share_estimate(1, 4)


def test_correlations_by_hand() -> None:
    x, y = torch.tensor([[1.0, 2.0], [3.0, 10.0]]), torch.tensor([[2.0, 2.5], [3.0, 3.5]])
    assert correlation(x, y) == pytest.approx(14 / math.sqrt(50 * 5))  # deviations -3 -2 -1 6 and -3 -1 1 3 halves
    assert rank_correlation(x, y) == pytest.approx(1)
    assert rank_correlation(x, -y) == pytest.approx(-1)
    # Ranks 1.5 1.5 3 4 and 1 2 3 4: 4.5 / sqrt(4.5 * 5).
    assert rank_correlation(torch.tensor([0.0, 0.0, 1.0, 2.0]), y.flatten()) == pytest.approx(math.sqrt(0.9))


def test_nothing_correlates_with_a_constant() -> None:
    x, constant = torch.tensor([1.0, 2.0, 3.0]), torch.zeros(3)
    assert correlation(x, constant) == rank_correlation(constant, x) == 0
