"""Layer randomisation (Adebayo et al. 2018): does an explanation change when what was learnt is destroyed?

Layers are shuffled one after another from the classes down to the pixels. After each, the projection of
the same cell and the occlusion map of the same class are compared with those of the trained net. What
stays the same does not depend on the layers that were shuffled, and says nothing about them. What is lost
with the first layer says nothing about the later ones: for occlusion maps each is shuffled alone, too.
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ...methods.deconvnet import Feature, down
from ...methods.incremental.occluder import Occluder
from ...net.chain import Activations, Chain
from ...net.record import Preprocessing
from ..statistics import Estimate, correlation, mean_estimate, rank_correlation
from .cells import cell_means
from .curves import Protocol
from .subject import filled, occlusion_drop, subject

FILL = "gray"


@dataclass(frozen=True)
class Stage:
    """Correlations with the trained net's explanations once `layer` and all above it are shuffled.

    `projection`: Pearson's, of signed values. `projection_ranks`: Spearman's, of the size at each pixel.
    `occlusion_ranks`: Spearman's, of the fall of the probability. Over the receptive field, over the picture.
    `occlusion_ranks_alone`: the same where no other layer than `layer` is shuffled.
    """

    layer: str
    projection: Estimate
    projection_ranks: Estimate
    occlusion_ranks: Estimate
    occlusion_ranks_alone: Estimate


@dataclass(frozen=True)
class _Explained:
    """What is asked of a picture, and the trained net's answer: projection within its field, occlusion map."""

    image: Tensor
    fill: Tensor
    window: int
    target: int
    feature: Feature
    projection: Tensor
    drop: Tensor


def randomisation(
    chain: Chain, preprocessing: Preprocessing, pictures: Sequence[Tensor], seed: int,
    advance: Callable[[int], object],
) -> tuple[Stage, ...]:  # fmt: skip
    """Stages from the last layer down to the first, over at least two pictures uint8 [channels, h, w].

    `advance` hears of every picture that a stage is done with.
    """
    generator, for_alone = (torch.Generator().manual_seed(seed) for _ in range(2))
    trained = Occluder(chain)
    explained = [_explained(trained, preprocessing, pixels) for pixels in pictures]
    shuffled = copy.deepcopy(chain)
    stages = []
    for name in reversed(weighted_layers(chain)):
        alone = copy.deepcopy(chain)
        shuffle(shuffled, name, generator)
        shuffle(alone, name, for_alone)
        occluders = Occluder(shuffled), Occluder(alone)  # new ones: they keep filters
        found = []
        for one in explained:
            found.append(_similarities(*occluders, one))
            advance(1)
        stages.append(Stage(name, *(mean_estimate(column, seed) for column in np.array(found).T)))
    return tuple(stages)


def weighted_layers(chain: Chain) -> list[str]:
    return [name for name, layer in chain.named_children() if next(layer.parameters(), None) is not None]


def shuffle(chain: Chain, name: str, generator: torch.Generator) -> None:
    """Put a layer's weights, and its biases, in a random order: nothing learnt is left but how they are spread."""
    for parameter in chain.layer(name).parameters():
        order = torch.randperm(parameter.numel(), generator=generator).to(parameter.device)
        parameter.data.copy_(parameter.data.flatten()[order].view(parameter.shape))


def _explained(occluder: Occluder, preprocessing: Preprocessing, pixels: Tensor) -> _Explained:
    one = subject(occluder.chain, preprocessing, pixels)
    window = Protocol.of(preprocessing.size).window
    fill = filled(one, preprocessing, FILL, window)
    projection = _projection(occluder.chain, one.clean, one.feature)
    drop = _drop(occluder, one.image, one.clean, fill, one.target, window)
    return _Explained(one.image, fill, window, one.target, one.feature, projection, drop)


@torch.inference_mode()
def _projection(chain: Chain, activations: Activations, feature: Feature) -> Tensor:
    """The projection of a feature's cell within its field, started from 1: the cell may have gone silent."""
    layer, (row, col), box = chain.features[-1], feature.position, feature.receptive_field
    one = activations.outputs[layer].new_ones(1)
    found = down(chain, activations.switches, layer, [(feature.feature, row, col)], one)
    return found[0, :, *box.slices]


def _drop(
    occluder: Occluder, image: Tensor, activations: Activations, fill: Tensor, target: int, window: int
) -> Tensor:
    return cell_means(occlusion_drop(occluder, image, activations, fill, target, window, window), window)


@torch.inference_mode()
def _similarities(shuffled: Occluder, alone: Occluder, trained: _Explained) -> tuple[float, float, float, float]:
    """In the order of `Stage`: of a net whose layers down to one are shuffled, and of one in which that is alone."""
    activations, of_alone = (occluder.chain.run(trained.image[None]) for occluder in (shuffled, alone))
    projection = _projection(shuffled.chain, activations, trained.feature)
    sizes = [x.square().sum(0) for x in (projection, trained.projection)]
    return (
        correlation(projection, trained.projection),
        rank_correlation(*sizes),
        _occlusion_ranks(shuffled, activations, trained),
        _occlusion_ranks(alone, of_alone, trained),
    )


def _occlusion_ranks(occluder: Occluder, activations: Activations, trained: _Explained) -> float:
    drop = _drop(occluder, trained.image, activations, trained.fill, trained.target, trained.window)
    return rank_correlation(drop, trained.drop)
