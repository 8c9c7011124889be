"""One picture under study: what the net makes of it, and what its explanations say."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ...methods import deconvnet
from ...methods.deconvnet import Feature
from ...methods.incremental.occluder import Occluder
from ...methods.squares import Squares, spread, squares
from ...net.chain import Activations, Chain
from ...net.device import device_of
from ...net.record import Preprocessing
from ...pictures.fill import fill_pixels


@dataclass(frozen=True)
class Subject:
    """A picture uint8 [channels, h, w] and standardised, its activations, logits [classes] and most probable class.

    `feature` is the projection of the strongest map of the last feature layer.
    """

    pixels: Tensor
    image: Tensor
    clean: Activations
    logits: Tensor
    target: int
    probability: float
    feature: Feature


@torch.inference_mode()
def subject(chain: Chain, preprocessing: Preprocessing, pixels: Tensor) -> Subject:
    """Evaluate a picture uint8 [channels, height, width] once and project its strongest map."""
    image = preprocessing.standardise(pixels.to(device_of(chain)))
    clean = chain.run(image[None])
    layer = chain.features[-1]
    feature = deconvnet.strongest(clean.outputs[layer][0], 1)[0]
    logits = clean.outputs[chain.dense[-1]][0]
    probabilities = logits.softmax(0)
    target = int(probabilities.argmax())
    projected = deconvnet.project(chain, clean, layer, [feature])[0]
    return Subject(pixels, image, clean, logits, target, float(probabilities[target]), projected)


def filled(subject: Subject, preprocessing: Preprocessing, fill: str, window: int) -> Tensor:
    """The standardised picture that shows wherever the subject is covered; `blur` is that of a `window`."""
    colours = fill_pixels(fill, subject.pixels.permute(1, 2, 0).contiguous().numpy(), window, preprocessing.mean)
    return preprocessing.standardise(torch.from_numpy(colours).permute(2, 0, 1).to(subject.image.device))


@torch.inference_mode()
def occluded(
    occluder: Occluder, image: Tensor, clean: Activations, fill: Tensor, window: int, stride: int
) -> tuple[Squares, Tensor]:
    """The squares over a picture, and the logits under each of them [rows, cols, classes]."""
    grid = squares(image.shape[1], image.shape[2], window, stride)
    return grid, occluder(image, clean, fill, grid, occluder.chain.features[-1], 0).logits


@torch.inference_mode()
def occlusion_drop(
    occluder: Occluder, image: Tensor, clean: Activations, fill: Tensor, target: int, window: int, stride: int
) -> Tensor:
    """How far the probability of `target` falls under the squares that cover each pixel, on average [h, w]."""
    grid, logits = occluded(occluder, image, clean, fill, window, stride)
    unoccluded = clean.outputs[occluder.chain.dense[-1]][0].softmax(0)[target]
    return spread(grid, unoccluded - logits.softmax(2)[..., target], image.shape[1], image.shape[2])
