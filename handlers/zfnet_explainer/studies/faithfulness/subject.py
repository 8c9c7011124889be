"""One picture under study: what the net makes of it, and what its explanations say."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ...methods import deconvnet
from ...methods.deconvnet import Feature
from ...methods.incremental.occluder import Occluder
from ...methods.squares import spread, squares
from ...net.chain import Activations, Chain
from ...net.checkpoint import Preprocessing
from ...pictures.fill import fill_pixels


@dataclass(frozen=True)
class Subject:
    """A picture uint8 [channels, h, w] and standardised, its activations, and its most probable class.

    `feature` is the projection of the strongest map of the last feature layer.
    """

    pixels: Tensor
    image: Tensor
    clean: Activations
    target: int
    probability: float
    feature: Feature


@torch.inference_mode()
def subject(chain: Chain, preprocessing: Preprocessing, pixels: Tensor) -> Subject:
    """Evaluate a picture uint8 [channels, height, width] once and project its strongest map."""
    image = preprocessing.standardise(pixels.to(next(chain.parameters()).device))
    clean = chain.run(image[None])
    layer = chain.features[-1]
    feature = deconvnet.strongest(clean.outputs[layer][0], 1)[0]
    probabilities = clean.outputs[chain.dense[-1]][0].softmax(0)
    target = int(probabilities.argmax())
    projected = deconvnet.project(chain, clean, layer, [feature])[0]
    return Subject(pixels, image, clean, target, float(probabilities[target]), projected)


def filled(subject: Subject, preprocessing: Preprocessing, fill: str, window: int) -> Tensor:
    """The standardised picture that shows wherever the subject is covered; `blur` is that of a `window`."""
    colours = fill_pixels(fill, subject.pixels.permute(1, 2, 0).contiguous().numpy(), window, preprocessing.mean)
    return preprocessing.standardise(torch.from_numpy(colours).permute(2, 0, 1).to(subject.image.device))


@torch.inference_mode()
def occlusion_drop(
    occluder: Occluder, image: Tensor, clean: Activations, fill: Tensor, target: int, window: int, stride: int
) -> Tensor:
    """How far the probability of `target` falls under the squares that cover each pixel, on average [h, w]."""
    chain = occluder.chain
    height, width = image.shape[1:]
    grid = squares(height, width, window, stride)
    maps = occluder(image, clean, fill, grid, chain.features[-1], 0)
    unoccluded = clean.outputs[chain.dense[-1]][0].softmax(0)[target]
    return spread(grid, unoccluded - maps.probabilities[..., target], height, width)
