"""Whether a net's probabilities can be taken at their word, and the temperature that corrects them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from scipy.optimize import minimize_scalar
from torch import Tensor
from torch.nn import functional

BINS = 15
TEMPERATURES = (0.05, 20.0)


@dataclass(frozen=True)
class Bin:
    """The pictures whose confidence lies in (lower, upper]: their mean confidence and the share that is right.

    Confidence is the probability of the most probable class; both means are None where there are no pictures.
    """

    lower: float
    upper: float
    images: int
    confidence: float | None
    right: float | None


@dataclass(frozen=True)
class Calibration:
    """Expected calibration errors (`ece`) and temperatures.

    `ece` is that of the logits as they are, `served_ece` over `served_temperature`, with which the net answers.
    `temperature` is fitted to all pictures. What a temperature is worth shows on pictures that it was not
    fitted to: `held_out_temperature` is fitted to one half of the pictures, drawn at random, and
    `held_out_before` and `held_out_after` are the errors of the other half, `held_out_images` pictures.
    `helps`: whether the labels become more likely where each half is over the temperature of the other one. Of a few
    pictures the errors cannot say: most of their bins hold chance.
    """

    ece: float
    served_temperature: float
    served_ece: float
    temperature: float
    held_out_images: int
    held_out_temperature: float
    held_out_before: float
    held_out_after: float
    helps: bool


def calibration(logits: Tensor, labels: Tensor, served_temperature: float, seed: int) -> Calibration:
    """Calibration of logits [n, classes] against labels [n]; `seed` draws the halves."""
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
    fit, rest = order[: len(order) // 2], order[len(order) // 2 :]
    temperature = best_temperature(logits[fit], labels[fit])
    crossed = ((rest, temperature), (fit, best_temperature(logits[rest], labels[rest])))
    return Calibration(
        ece=calibration_error(reliability(logits, labels)),
        served_temperature=served_temperature,
        served_ece=calibration_error(reliability(logits, labels, served_temperature)),
        temperature=best_temperature(logits, labels),
        held_out_images=len(rest),
        held_out_temperature=temperature,
        held_out_before=calibration_error(reliability(logits[rest], labels[rest])),
        held_out_after=calibration_error(reliability(logits[rest], labels[rest], temperature)),
        helps=sum(_loss(logits[half], labels[half], t) - _loss(logits[half], labels[half], 1) for half, t in crossed)
        < 0,
    )


def reliability(logits: Tensor, labels: Tensor, temperature: float = 1) -> tuple[Bin, ...]:
    """The reliability diagram as numbers: 15 bins of equal width, lowest confidence first."""
    confidence, predicted = (logits.double() / temperature).softmax(1).max(1)
    right = (predicted == labels).double()
    index = ((confidence * BINS).ceil().long() - 1).clamp(0, BINS - 1)
    bins = []
    for i in range(BINS):
        inside = index == i
        count = int(inside.sum())
        means = (float(confidence[inside].mean()), float(right[inside].mean())) if count else (None, None)
        bins.append(Bin(i / BINS, (i + 1) / BINS, count, *means))
    return tuple(bins)


def calibration_error(bins: Sequence[Bin]) -> float:
    """Expected calibration error (Guo et al. 2017): |right - confidence|, averaged over the pictures by bin."""
    filled = [(b.images, b.right, b.confidence) for b in bins if b.right is not None and b.confidence is not None]
    gaps = sum(images * abs(right - confidence) for images, right, confidence in filled)
    return gaps / sum(images for images, _, _ in filled)


def best_temperature(logits: Tensor, labels: Tensor) -> float:
    """The divisor of the logits, 0.05 to 20, with the smallest negative log-likelihood; 1 where there is none to find.

    Of n labels each counts as (n + 1) / (n + 2) right, as Platt (1999) does, and the rest goes to the other classes:
    otherwise the best temperature of a net that is always right would be the smallest one, and all its answers certain.
    """
    count, classes = logits.shape
    if count == 0 or classes == 1:
        return 1.0
    right = (count + 1) / (count + 2)
    targets = torch.full((count, classes), (1 - right) / (classes - 1), dtype=torch.float64)
    targets[torch.arange(count), labels] = right

    def loss(log_temperature: float) -> float:
        return _loss(logits, targets, 2.0**log_temperature)

    low, high = map(math.log2, TEMPERATURES)
    return float(2.0 ** minimize_scalar(loss, bounds=(low, high), method="bounded").x)


def _loss(logits: Tensor, targets: Tensor, temperature: float) -> float:
    """Negative log-likelihood of all pictures together."""
    return float(functional.cross_entropy(logits.double() / temperature, targets, reduction="sum"))
