"""Batches whose pictures are mixed in pairs, labels with them."""

import torch
from torch import Tensor
from torchvision.transforms import v2

BLEND_ALPHA = 0.2


class Mixing:
    """Mixes a share of the batches: half of those by CutMix, half by mixup.

    CutMix (Yun et al. 2019) pastes a rectangle of another picture, its area uniform; mixup (Zhang et al. 2018)
    blends the two, by a share from a Beta distribution of 0.2. Torch's global generator draws.
    """

    def __init__(self, share: float, classes: int) -> None:
        mix = v2.RandomChoice([v2.CutMix(num_classes=classes), v2.MixUp(alpha=BLEND_ALPHA, num_classes=classes)])
        self._mix = v2.RandomApply([mix], p=share)

    def __call__(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Images [n, 3, h, w] of a floating type and labels [n], or class shares [n, classes] where they are mixed."""
        mixed: tuple[Tensor, Tensor] = self._mix(images, labels)
        return mixed


def majority(labels: Tensor) -> Tensor:
    """The class of each picture's larger part."""
    return labels if labels.ndim == 1 else torch.argmax(labels, 1)
