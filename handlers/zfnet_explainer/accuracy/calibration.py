"""Whether a net's probabilities can be taken at their word, and the temperature that corrects them."""

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
    """

    ece: float
    served_temperature: float
    served_ece: float
    temperature: float
    held_out_images: int
    held_out_temperature: float
    held_out_before: float
    held_out_after: float


def calibration(logits: Tensor, labels: Tensor, served_temperature: float = 1, seed: int = 0) -> Calibration:
    """Calibration of logits [n, classes] against labels [n]; `seed` draws the halves."""
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
    fit, rest = order[: len(order) // 2], order[len(order) // 2 :]
    temperature = best_temperature(logits[fit], labels[fit])
    return Calibration(
        ece=calibration_error(reliability(logits, labels)),
        served_temperature=served_temperature,
        served_ece=calibration_error(reliability(logits, labels, served_temperature)),
        temperature=best_temperature(logits, labels),
        held_out_images=len(rest),
        held_out_temperature=temperature,
        held_out_before=calibration_error(reliability(logits[rest], labels[rest])),
        held_out_after=calibration_error(reliability(logits[rest], labels[rest], temperature)),
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
    """The divisor of the logits, 0.05 to 20, with the smallest negative log-likelihood; 1 for no pictures at all."""
    if len(labels) == 0:
        return 1.0

    def loss(log_temperature: float) -> float:
        return float(functional.cross_entropy(logits.double() / 2.0**log_temperature, labels))

    low, high = (float(torch.tensor(t).log2()) for t in TEMPERATURES)
    return float(2.0 ** minimize_scalar(loss, bounds=(low, high), method="bounded").x)
