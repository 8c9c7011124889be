"""What the explanations of a trained net are worth, over many pictures."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ...methods.incremental.occluder import Occluder
from ...net.chain import Chain
from ...net.record import Preprocessing
from .covering import Fall, MeanFall, falls, mean_falls
from .curves import Curves, Faithfulness, Protocol, faithfulness, picture_curves
from .randomisation import Stage, randomisation
from .subject import filled, subject

RANDOMISED = 20


@dataclass(frozen=True)
class Explanations:
    """Curves and falls by the fill that covered, and the stages of the randomisation over fewer pictures."""

    images: int
    protocol: Protocol
    faithfulness: dict[str, Faithfulness]
    falls: dict[str, dict[str, MeanFall]]
    randomised_images: int
    randomisation: tuple[Stage, ...]


def study(
    chain: Chain, preprocessing: Preprocessing, pictures: Tensor, fills: Sequence[str], seed: int,
    advance: Callable[[int], object], advance_randomisation: Callable[[int], object],
) -> Explanations:  # fmt: skip
    """Study the explanations of at least two pictures uint8 [n, channels, h, w]; `seed` draws whatever is random.

    `advance` hears of every picture, `advance_randomisation` of every picture at a stage.
    """
    generator = torch.Generator().manual_seed(seed)
    curves: dict[str, list[dict[str, Curves]]] = {fill: [] for fill in fills}
    fallen: dict[str, list[dict[str, Fall]]] = {fill: [] for fill in fills}
    occluder, protocol = Occluder(chain), Protocol.of(preprocessing.size)
    for pixels in pictures:
        one = subject(chain, preprocessing, pixels)
        for name in fills:
            fill = filled(one, preprocessing, name, protocol.window)
            curves[name].append(picture_curves(occluder, one, fill, protocol, generator))
            fallen[name].append(falls(chain, one, fill, generator))
        advance(1)
    few = pictures[:RANDOMISED]
    return Explanations(
        images=len(pictures),
        protocol=protocol,
        faithfulness={name: faithfulness(found, seed) for name, found in curves.items()},
        falls={name: mean_falls(found, seed) for name, found in fallen.items()},
        randomised_images=len(few),
        randomisation=randomisation(chain, preprocessing, list(few), seed, advance_randomisation),
    )
