"""The record of a net's weights: what they are, and what they cannot be used without."""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .checks import are_channels, is_line, is_number

INTERPOLATIONS = ("bicubic", "bilinear")


class BadCheckpoint(ValueError):
    """Weights or a record that cannot be used; the message says what to do."""


@dataclass(frozen=True)
class ClassName:
    """What a class is called: its folder name (ImageNet: the synset) and its label.

    Raises ValueError for what is blank, or cannot stand in a line of text.
    """

    synset: str
    label: str

    def __post_init__(self) -> None:
        for text in (self.synset, self.label):
            if not is_line(text):
                raise ValueError(f"a class is called by one line of text that is not blank, not {text[:60]!r}")


@dataclass(frozen=True)
class Preprocessing:
    """Centre square, resized to `size` pixels (antialiased), then (value/255 - mean) / std.

    `crop` is the square's side over the picture's shorter side: with 1 the whole square is cut out and resized, with
    less the picture is resized first, as torchvision does. Raises ValueError for what cannot be.
    """

    size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    crop: float = 1.0
    interpolation: str = "bicubic"

    def __post_init__(self) -> None:
        if not isinstance(self.size, int) or self.size < 1:
            raise ValueError(f"`size` is a number of pixels from 1, not {self.size!r}")
        if not is_number(self.crop) or not 0 < self.crop <= 1:
            raise ValueError(f"`crop` is a share over 0, at most 1, not {self.crop!r}")
        if self.interpolation not in INTERPOLATIONS:
            raise ValueError(f"`interpolation` is one of {', '.join(INTERPOLATIONS)}, not {self.interpolation!r}")
        if not are_channels(self.mean) or not are_channels(self.std) or min(self.std) <= 0:
            raise ValueError(
                f"`mean` and `std` have a number for each of 3 channels, `std` over 0, not {self.mean!r}, {self.std!r}"
            )

    def standardise(self, pixels: Tensor) -> Tensor:
        """Values 0 to 255 [..., 3, h, w] -> float32 of the same shape."""
        mean, std = (_channels(values, pixels.device) for values in (self.mean, self.std))
        return (pixels.float() / 255 - mean) / std


def _channels(values: tuple[float, ...], device: torch.device) -> Tensor:
    """float32 [channels, 1, 1], filled on the device: for a tensor that is copied there, a GPU's work is waited for."""
    return torch.stack([torch.full((1, 1), value, dtype=torch.float32, device=device) for value in values])


@dataclass(frozen=True)
class Record:
    """What the weights are.

    `validation`, measured on the weights as read back, has at least top1 and images, and is None where nobody has
    measured; an export also writes top5, calibration, accuracy by class and what storing cost (`accuracy.accuracy`,
    `training.export`). `layers` describe a net that `ARCHITECTURES` does not know (`net.described`), and `storage`
    says what storing an imported one cost (`net.own`).
    """

    name: str
    architecture: str
    classes: tuple[ClassName, ...]
    preprocessing: Preprocessing
    training: dict[str, Any]
    validation: dict[str, Any] | None
    licence: str
    weights_sha256: str = ""
    layers: tuple[dict[str, Any], ...] = ()
    storage: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        if not 0 < self.temperature < math.inf:
            raise ValueError(f"`temperature` is a number over 0, not {self.temperature}")

    @property
    def temperature(self) -> float:
        """What logits are divided by, so that probabilities mean what they say; 1 where none was fitted."""
        return float((self.validation or {}).get("temperature", 1))
