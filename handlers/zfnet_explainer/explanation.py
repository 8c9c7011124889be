"""What is asked about a picture and what is answered: plain values, no server, no bytes."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .atlas import Other
from .methods.deconvnet import Feature
from .methods.squares import Squares

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]
Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Options:
    """What is asked about one picture; every value has been checked (see `wire.options`)."""

    top_k: int
    methods: frozenset[str]
    target: int | None
    layers: tuple[int, ...]
    features: int
    feature: tuple[int, ...] | None
    others: int
    window: int
    stride: int
    fill: str
    precision: str
    crosscheck: bool


@dataclass(frozen=True)
class Prediction:
    """A class and its softmax probability, rank 1 the most probable."""

    rank: int
    class_index: int
    probability: float


@dataclass(frozen=True)
class LayerProjections:
    """The projected maps of feature layer `layer` (1 is the first convolution's), strongest first.

    `others` has, by map, its projections from other pictures, strongest first; only maps that have some.
    """

    layer: int
    maps: int
    size: tuple[int, int]
    features: tuple[Feature, ...]
    others: Mapping[int, tuple[Other, ...]]


@dataclass(frozen=True)
class Occlusion:
    """Figure 7's maps [rows, cols] over the squares, and the same values with nothing covered.

    `max_deviation` is the largest difference of a target probability from float32 over evenly
    spread squares, at most 16; None where the evaluation is exact.
    """

    squares: Squares
    fill: str
    layer: int
    feature: int
    feature_unoccluded: float
    feature_activity: FloatArray
    target_probability: FloatArray
    unoccluded: float
    most_probable_class: IntArray
    most_probable_unoccluded: int
    precision: str
    max_deviation: float | None

    @property
    def exact(self) -> bool:
        return self.precision == "float32"

    @property
    def drop(self) -> float:
        """How far the target's probability falls where it falls furthest; negative where it rises everywhere."""
        return self.unoccluded - float(self.target_probability.min())


@dataclass(frozen=True)
class Agreement:
    """Largest difference over the largest value of the other library's answer; agrees at most 1e-4."""

    max_relative_difference: float

    @property
    def agrees(self) -> bool:
        return self.max_relative_difference <= 1e-4


@dataclass(frozen=True)
class CrossCheck:
    """Agreement with Captum of each method that was asked for."""

    library: str
    version: str
    deconv: Agreement | None
    occlusion: Agreement | None
    conventions: dict[str, str]


@dataclass(frozen=True)
class Explanation:
    """Everything one picture's explanation found; arrays and tensors are on the CPU."""

    pixels: Pixels
    probabilities: FloatArray
    predictions: tuple[Prediction, ...]
    target: Prediction
    deconv: tuple[LayerProjections, ...] | None
    occlusion: Occlusion | None
    crosscheck: CrossCheck | None
    seconds: dict[str, float]
