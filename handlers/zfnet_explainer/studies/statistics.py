"""Means with their intervals, and correlations."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from torch import Tensor

RESAMPLES = 5000
TOGETHER = 250  # resamples in memory


@dataclass(frozen=True)
class Estimate:
    """A mean, or a share, and its 95 % confidence interval."""

    mean: float
    low: float
    high: float


def mean_estimate(values: Sequence[float] | NDArray[np.float64], seed: int) -> Estimate:
    """The mean of at least two values, its interval by the percentile bootstrap over them."""
    found = stats.bootstrap(
        (np.asarray(values, np.float64),), np.mean, n_resamples=RESAMPLES, batch=TOGETHER, method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval  # fmt: skip
    return Estimate(float(np.mean(values)), float(found.low), float(found.high))


def mean_share(values: NDArray[np.float64], seed: int) -> Estimate:
    """The mean of at least two shares, each of one picture: Wilson's interval where all are 0 or 1, else bootstrapped.

    Resamples of what was never so, or always, are all alike: an interval of no width.
    """
    if np.isin(values, (0, 1)).all():
        return share_estimate(int(values.sum()), len(values))
    return mean_estimate(values, seed)


def share_estimate(count: int, of: int) -> Estimate:
    """The share count / of and Wilson's interval."""
    interval = stats.binomtest(count, of).proportion_ci(0.95, method="wilson")
    return Estimate(count / of, float(interval.low), float(interval.high))


def correlation(ours: Tensor, theirs: Tensor) -> float:
    """Pearson's correlation over all values; 0 where one of the two is constant."""
    return _correlated(stats.pearsonr, ours, theirs)


def rank_correlation(ours: Tensor, theirs: Tensor) -> float:
    """Spearman's correlation over all values, ties at their mean rank; 0 where one of the two is constant."""
    return _correlated(stats.spearmanr, ours, theirs)


def _correlated(measure: Callable[..., Any], ours: Tensor, theirs: Tensor) -> float:
    a, b = (x.flatten().double().cpu().numpy() for x in (ours, theirs))
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return 0.0
    return float(measure(a, b).statistic)


def interval(estimate: Estimate, digits: int = 3) -> str:
    """The mean and, in brackets, its interval."""
    return f"{estimate.mean:.{digits}f} ({estimate.low:.{digits}f} to {estimate.high:.{digits}f})"


def percent_interval(estimate: Estimate) -> str:
    return f"{100 * estimate.mean:.1f} % ({100 * estimate.low:.1f} to {100 * estimate.high:.1f})"
