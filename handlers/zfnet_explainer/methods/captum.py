"""The same questions put to Captum: its Deconvolution and its Occlusion on the same weights."""

import math
import warnings
from collections.abc import Sequence
from typing import Any

import captum
import torch
from captum.attr import NeuronDeconvolution, Occlusion
from torch import Tensor, nn

from ..net.chain import Chain
from ..net.norm import CrossMapNorm
from ..net.probability import probabilities
from .deconvnet import Feature
from .squares import Squares, spread

CONVENTIONS = {
    "deconv": "captum.attr.NeuronDeconvolution from the same cell, times the activation (Captum starts from 1); "
    "the normalisation passes the signal through unchanged on the way down, as the projections do",
    "occlusion": "captum.attr.Occlusion on the probabilities of the target and of the contrast, or else of the most "
    "probable other class: the mean probability under the squares that cover a pixel, compared where the border rules "
    "agree (Captum cuts its last square, ours moves it inside): all pixels that no differing square covers; the "
    "largest value is that of these means and of the probability with nothing covered; a reduced precision is compared "
    "with float32",
}
# Told of what cannot be compared: JSON has neither an infinity nor a NaN.
NO_NUMBER = torch.finfo(torch.float32).max
BATCH = 16  # covered pictures that Captum evaluates at a time


def library() -> tuple[str, str]:
    return "captum", captum.__version__


def check_deconv(chain: Chain, image: Tensor, found: dict[str, list[Feature]]) -> float:
    """Compare projections, by layer name, with Captum's for a standardised image [channels, h, w].

    Returns the largest difference of a projection over the largest value of Captum's; the largest number
    there is where one is none.
    """
    net = chain.rebuilt(_for_captum)
    differences = [0.0]
    for layer, features in found.items():
        attribution = NeuronDeconvolution(net, net.get_submodule(layer))
        for feature in features:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "Setting (forward, )?backward hooks", UserWarning)
                cell = (feature.feature, *feature.position)
                theirs = attribution.attribute(image[None].clone().requires_grad_(), cell)
            differences.append(_difference(feature.projection, theirs[0].detach() * feature.activation))
    return max(differences)


@torch.inference_mode()
def check_occlusion(
    chain: Chain,
    image: Tensor,
    fill: Tensor,
    squares: Squares,
    *,
    temperature: float,
    classes: Sequence[int],
    covered: Sequence[Tensor],
    unoccluded: Sequence[float],
) -> list[float]:
    """Compare grids of the classes' probabilities [rows, cols] with Captum's pixel maps, which take one pass together.

    Captum gives each pixel the mean fall of the probability over the squares that cover it; the
    grid is spread over the pixels in the same way and compared on all pixels that only squares of
    both border rules cover. Returns the largest difference over the largest probability, mean ones there by
    Captum and the `unoccluded` one alike: Captum takes each fall from the latter in float32, which leaves nothing of a
    probability that is a millionth of it. It is the largest number there is where a value is none.
    """

    def of_classes(x: Tensor) -> Tensor:
        return probabilities(chain(x), temperature)[:, classes]

    window, stride = squares.window, squares.stride
    maps = Occlusion(of_classes).attribute(
        image[None],
        sliding_window_shapes=(len(image), window, window),
        strides=(len(image), stride, stride),
        baselines=fill[None],
        perturbations_per_eval=BATCH,
    )[:, 0]
    rows, cols = (
        _agreeing(starts, stride, size)
        for starts, size in ((squares.tops, image.shape[1]), (squares.lefts, image.shape[2]))
    )
    differences = []
    for theirs, probability, before in zip(maps, covered, unoccluded, strict=True):
        ours = spread(squares, before - probability, image.shape[1], image.shape[2])
        differences.append(_difference(before - ours[:rows, :cols], before - theirs[:rows, :cols], before))
    return differences


def _agreeing(starts: tuple[int, ...], stride: int, size: int) -> int:
    """How many leading rows (or columns) only squares at whole strides cover."""
    return size if starts[-1] % stride == 0 else starts[-1]


def _difference(ours: Tensor, theirs: Tensor, known: float = 0.0) -> float:
    """The largest difference over the largest value of theirs, or over `known` where that is larger."""
    largest = max(float(theirs.abs().max()), known)
    apart = float((ours.to(theirs) - theirs).abs().max())
    if not math.isfinite(apart):  # max() above would pass over a NaN
        return NO_NUMBER
    return apart / largest if largest > 0 else apart


class _PassThroughNorm(torch.autograd.Function):
    """Cross-map normalisation whose way down leaves the signal as it is.

    The chain's own, to the last digit: by another's rounding two values that are nearly equal may change places
    under a later pool, and their signals arrive at other pixels.
    """

    @staticmethod
    def forward(_: Any, x: Tensor, norm: CrossMapNorm) -> Tensor:
        out: Tensor = norm(x)
        return out

    @staticmethod
    def backward(_: Any, signal: Tensor) -> tuple[Tensor, None]:
        return signal, None


class _NormLayer(nn.Module):
    def __init__(self, norm: CrossMapNorm) -> None:
        super().__init__()
        self.norm = norm

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = _PassThroughNorm.apply(x, self.norm)
        return out


def _for_captum(layer: nn.Module) -> nn.Module:
    """A layer for Captum to hang its hooks on."""
    if isinstance(layer, CrossMapNorm):
        return _NormLayer(layer)
    return nn.ReLU() if isinstance(layer, nn.ReLU) else layer
