"""How accurate a net is: everything that its logits on labelled pictures say about it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..net.record import ClassName
from .calibration import Bin, Calibration, calibration, reliability

VIEW = "centre square, one view"


@dataclass(frozen=True)
class ClassAccuracy:
    """One class: how many pictures it has, the share of them found, the share of its predictions that are right.

    A share is None where there is nothing to take it of.
    """

    images: int
    recall: float | None
    precision: float | None


@dataclass(frozen=True)
class Accuracy:
    """`confusion[true][predicted]` counts pictures; `by_class` has the net's order of classes.

    `top5` is None for a net of five classes or fewer, of which it would be 1 whatever the net answers. `reliability` is
    that of the probabilities as served.
    """

    images: int
    top1: float
    top5: float | None
    by_class: tuple[ClassAccuracy, ...]
    confusion: tuple[tuple[int, ...], ...]
    calibration: Calibration
    reliability: tuple[Bin, ...]


def accuracy(logits: Tensor, labels: Tensor, served_temperature: float = 1, seed: int = 0) -> Accuracy:
    """Measure logits [n, classes] against labels [n]; `seed` draws the halves of the calibration.

    `served_temperature` is the record's, 1 for a net that has none yet.
    """
    counts = confusion(logits, labels)
    return Accuracy(
        images=len(labels),
        top1=top_k(logits, labels, 1),
        top5=top_k(logits, labels, 5) if logits.shape[1] > 5 else None,
        by_class=by_class(counts),
        confusion=tuple(tuple(row) for row in counts.tolist()),
        calibration=calibration(logits, labels, served_temperature, seed),
        reliability=reliability(logits, labels, served_temperature),
    )


def top_k(logits: Tensor, labels: Tensor, k: int) -> float:
    """Share of pictures whose class is among the `k` most probable, ties to the lower index, as answers have them."""
    best = logits.argsort(dim=1, descending=True, stable=True)[:, :k]
    return int((best == labels[:, None]).any(1).sum()) / len(labels)


def confusion(logits: Tensor, labels: Tensor) -> Tensor:
    """Counts int64 [classes, classes] of pictures by true class (rows) and most probable class (columns)."""
    classes = logits.shape[1]
    return torch.bincount(labels * classes + logits.argmax(1), minlength=classes**2).view(classes, classes)


def by_class(counts: Tensor) -> tuple[ClassAccuracy, ...]:
    """Recall and precision of each class of a confusion table."""
    right, true, predicted = (values.tolist() for values in (counts.diagonal(), counts.sum(1), counts.sum(0)))
    return tuple(ClassAccuracy(t, _share(r, t), _share(r, p)) for r, t, p in zip(right, true, predicted, strict=True))


def as_validation(measured: Accuracy, classes: Sequence[ClassName]) -> dict[str, Any]:
    """The record's `validation`, rounded; `ece_with_temperature` is that of pictures it was not fitted to.

    Where a fitted temperature does not help those, as one of a few pictures may not, 1 is recorded.
    """
    found = measured.calibration
    return {
        "top1": round(measured.top1, 4),
        "top5": _rounded(measured.top5),
        "images": measured.images,
        "view": VIEW,
        "ece": round(found.ece, 4),
        "temperature": round(found.temperature, 4) if found.helps else 1.0,
        "ece_with_temperature": round(found.held_out_after if found.helps else found.held_out_before, 4),
        "by_class": {
            name.synset: {"images": one.images, "recall": _rounded(one.recall), "precision": _rounded(one.precision)}
            for name, one in zip(classes, measured.by_class, strict=True)
        },
    }


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _rounded(share: float | None) -> float | None:
    return None if share is None else round(share, 4)
