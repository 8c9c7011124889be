"""Figure 2's third note in numbers: a projection exaggerates what the class is recognised by."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...explainer import Explainer
from ...explanation import Occlusion, Pixels
from ...options import Options
from ..statistics import Estimate, mean_estimate

MOST_SENSITIVE = 0.1
STRIDE = 16
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Shares:
    """Shares of the projections' energy (squared values) in a region, and of the receptive fields' area there."""

    energy: Estimate
    area: Estimate

    @property
    def ratio(self) -> float | None:
        """How many times the energy that lay there were it spread evenly; None where no receptive field reaches it."""
        return self.energy.mean / self.area.mean if self.area.mean else None


@dataclass(frozen=True)
class Exaggeration:
    """In the most sensitive region of the picture itself; and, as a control, in that of another picture."""

    pictures: int
    own: Shares
    anothers: Shares


def exaggeration(explainer: Explainer, pictures: Sequence[Pixels], seed: int) -> Exaggeration | None:
    """Of the last layer's strongest map in each picture: where its projection's energy lies.

    The most sensitive region is the union of the tenth of the occlusion squares under which the predicted class's
    probability is lowest; the control takes the next picture's region, and shows what comes of objects and regions
    lying in the middle of pictures. Pictures in which no map is active are left out; None where fewer than two remain.
    """
    found = [one for pixels in pictures if (one := _projected(explainer, pixels)) is not None]
    if len(found) < 2:
        return None
    shifted = [(one.energy, one.field, other.region) for one, other in zip(found, found[1:] + found[:1], strict=True)]
    own = [(one.energy, one.field, one.region) for one in found]
    return Exaggeration(len(found), _shares(own, seed), _shares(shifted, seed))


def sensitive_region(occlusion: Occlusion, height: int, width: int) -> Mask:
    """The pixels [height, width] under the tenth of the squares that lower the target's probability most."""
    region = np.zeros((height, width), bool)
    order = occlusion.target_probability.flatten().argsort(kind="stable")
    for index in order[: max(1, round(MOST_SENSITIVE * len(order)))]:
        row, col = divmod(int(index), len(occlusion.squares.lefts))
        top, left = occlusion.squares.tops[row], occlusion.squares.lefts[col]
        region[top : top + occlusion.squares.window, left : left + occlusion.squares.window] = True
    return region


@dataclass(frozen=True)
class _Projected:
    """Where a projection's energy lies [h, w] (its sum is 1), its receptive field and the most sensitive region."""

    energy: NDArray[np.float64]
    field: Mask
    region: Mask


def _projected(explainer: Explainer, pixels: Pixels) -> _Projected | None:
    """None for a picture in which no map of the last layer is active."""
    stride = min(STRIDE, explainer.record.preprocessing.size)
    explanation = explainer.explain(pixels, Options(features=1, stride=stride))
    if explanation.deconv is None or explanation.occlusion is None:
        raise RuntimeError("both methods were asked for")
    feature = explanation.deconv[0].features[0]
    energy = feature.projection.double().square().sum(0).cpu().numpy()
    if not energy.sum():
        return None
    box, size = feature.receptive_field, pixels.shape[:2]
    field = np.zeros(size, bool)
    field[box.slices] = True
    return _Projected(energy / energy.sum(), field, sensitive_region(explanation.occlusion, *size))


def _shares(found: Sequence[tuple[NDArray[np.float64], Mask, Mask]], seed: int) -> Shares:
    energy = [float(energy[region].sum()) for energy, _, region in found]
    area = [float((field & region).sum() / field.sum()) for _, field, region in found]
    return Shares(mean_estimate(energy, seed), mean_estimate(area, seed))
