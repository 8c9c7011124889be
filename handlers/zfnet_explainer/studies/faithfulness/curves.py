"""Deletion and insertion (Petsiuk et al. 2018): does the answer live where an explanation points?

Deletion covers the picture cell by cell, most important first: the better the order, the sooner the
probability of the predicted class falls. Insertion starts from the covered picture and uncovers it in the
same order: the better the order, the sooner the probability rises. Uncovering in an order passes through
the same pictures as covering in the reversed order, so that one function measures both.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor

from ...methods.incremental.occluder import Occluder
from ..statistics import Estimate, mean_estimate
from .cells import cell_means, closeness, deletion_curves, grid_of, most_first
from .subject import Subject, occlusion_drop

MAP, PROJECTION, CENTRE, RANDOM = "occlusion map", "projection", "centre first", "random"
RANDOM_ORDERS = 2


@dataclass(frozen=True)
class Protocol:
    """Squares of the occlusion map and steps of the curves; a cell is as wide as the squares' stride."""

    window: int
    stride: int
    steps: int = 10

    @classmethod
    def of(cls, size: int) -> "Protocol":
        """That for pictures of `size` pixels a side: as 32 and 16 pixels are to 224."""
        window = max(1, round(size / 7))
        return cls(window, max(1, window // 2))


@dataclass(frozen=True)
class Curves:
    """Probability of the predicted class by share of the picture covered, or uncovered [..., steps + 1]."""

    deletion: Tensor
    insertion: Tensor


@dataclass(frozen=True)
class OrderResult:
    """One order over all pictures: areas under the curves, and the mean curves."""

    deletion: Estimate
    insertion: Estimate
    deletion_curve: tuple[float, ...]
    insertion_curve: tuple[float, ...]


@dataclass(frozen=True)
class Difference:
    """Area of `order` minus area of `baseline`, picture by picture, and the share of pictures where it is better."""

    order: str
    baseline: str
    deletion: Estimate
    deletion_better: float
    insertion: Estimate
    insertion_better: float


@dataclass(frozen=True)
class Faithfulness:
    """The curves of all pictures, summed up by order, and the orders that explain against those that do not."""

    orders: dict[str, OrderResult]
    differences: tuple[Difference, ...]


def picture_curves(
    occluder: Occluder, subject: Subject, fill: Tensor, protocol: Protocol, generator: torch.Generator
) -> dict[str, Curves]:
    """The curves of one picture in every order; those of random orders are their mean."""
    drop = occlusion_drop(
        occluder, subject.image, subject.clean, fill, subject.target, protocol.window, protocol.stride
    )
    energy = subject.feature.projection.square().sum(0)
    grid = grid_of(subject.image, protocol.stride)
    scores = {
        MAP: cell_means(drop, protocol.stride),
        PROJECTION: cell_means(energy, protocol.stride),
        CENTRE: closeness(*grid),
    }
    chosen = [most_first(score, generator) for score in scores.values()]
    drawn = [torch.randperm(grid[0] * grid[1], generator=generator) for _ in range(RANDOM_ORDERS)]
    orders = torch.stack([*chosen, *(order.flip(0) for order in chosen), *drawn])
    found = deletion_curves(
        occluder.chain, subject.image, fill, subject.target, orders, protocol.stride, protocol.steps
    )
    covering, uncovering, random = torch.split(found, [len(chosen), len(chosen), len(drawn)])
    curves = {
        name: Curves(deletion, insertion.flip(0))
        for name, deletion, insertion in zip(scores, covering, uncovering, strict=True)
    }
    # A random order's reverse is as random: its insertion curve is this deletion curve read backwards.
    return curves | {RANDOM: Curves(random.mean(0), random.mean(0).flip(0))}


def faithfulness(found: Sequence[dict[str, Curves]], seed: int) -> Faithfulness:
    """Sum up the curves of at least two pictures; `seed` draws the resamples of the intervals."""
    curves = {name: _stacked([of_picture[name] for of_picture in found]) for name in found[0]}
    pairs = product((MAP, PROJECTION), (RANDOM, CENTRE))
    return Faithfulness(
        {name: _result(one, seed) for name, one in curves.items()},
        tuple(_difference(order, baseline, curves, seed) for order, baseline in pairs),
    )


def _stacked(curves: Sequence[Curves]) -> Curves:
    """Those of several pictures, float64 [pictures, steps + 1]."""
    deletion = torch.stack([one.deletion for one in curves])
    insertion = torch.stack([one.insertion for one in curves])
    return Curves(deletion.double(), insertion.double())


def _result(curves: Curves, seed: int) -> OrderResult:
    return OrderResult(
        mean_estimate(area(curves.deletion).numpy(), seed),
        mean_estimate(area(curves.insertion).numpy(), seed),
        tuple(curves.deletion.mean(0).tolist()),
        tuple(curves.insertion.mean(0).tolist()),
    )


def _difference(order: str, baseline: str, curves: Mapping[str, Curves], seed: int) -> Difference:
    ours, theirs = curves[order], curves[baseline]
    less = area(ours.deletion) - area(theirs.deletion)
    more = area(ours.insertion) - area(theirs.insertion)
    return Difference(
        order,
        baseline,
        deletion=mean_estimate(less.numpy(), seed),
        deletion_better=float((less < 0).double().mean()),
        insertion=mean_estimate(more.numpy(), seed),
        insertion_better=float((more > 0).double().mean()),
    )


def area(curves: Tensor) -> Tensor:
    """Area under curves [..., steps + 1] over the share of the picture from 0 to 1, by the trapezoid rule."""
    return torch.trapezoid(curves, dx=1 / (curves.shape[-1] - 1))
