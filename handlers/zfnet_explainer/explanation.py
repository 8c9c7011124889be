"""What is asked about a picture and what is answered: plain values, no server, no bytes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .net.geometry import Box

if TYPE_CHECKING:  # these import torch, which who only reads or draws pictures need not wait for
    from .methods.deconvnet import Feature
    from .methods.squares import Squares

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]
Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Options:
    """What is asked about one picture; every value has been checked (see `wire.options`).

    `target` is a class index, None the predicted class; `layers` count from 1; `feature` names maps of one layer in the
    place of its `features` strongest; `window` and `stride` are in pixels.
    """

    top_k: int = 5
    methods: frozenset[str] = frozenset({"deconv", "occlusion"})
    target: int | None = None
    layers: tuple[int, ...] = (5,)
    features: int = 9
    feature: tuple[int, ...] | None = None
    others: int = 0
    window: int = 32
    stride: int = 8
    fill: str = "gray"
    precision: str = "float32"
    crosscheck: bool = False


@dataclass(frozen=True)
class Prediction:
    """A class and its softmax probability, rank 1 the most probable."""

    rank: int
    class_index: int
    probability: float


@dataclass(frozen=True)
class Other:
    """A map's projection in another picture: uint8 [rows, columns, 3] as shown, its activation, that picture's name
    and class (its synset)."""

    pixels: Pixels
    activation: float
    source: str
    synset: str


@dataclass(frozen=True)
class LayerProjections:
    """The projected maps of feature layer `layer` (1 is the first convolution's), strongest first or as named.

    By map, `ranks` has its rank among all of the layer, and `others` its projections from other pictures, strongest
    first, where there are some.
    """

    layer: int
    maps: int
    size: tuple[int, int]
    features: "tuple[Feature, ...]"
    ranks: Mapping[int, int]
    others: Mapping[int, tuple[Other, ...]]


@dataclass(frozen=True)
class Occlusion:
    """Figure 7's maps [rows, cols] over the squares, and the same values with nothing covered.

    `max_deviation` is the largest difference of a target probability from float32 over evenly
    spread squares, at most 16; None where the evaluation is exact.
    """

    squares: "Squares"
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
        return self.max_deviation is None

    @property
    def worst(self) -> tuple[int, int]:
        """Row and column of the square under which the target's probability is lowest, the first in reading order."""
        return self._at(self.target_probability.argmin())

    @property
    def best(self) -> tuple[int, int]:
        """Those of the square under which it is highest."""
        return self._at(self.target_probability.argmax())

    @property
    def drop(self) -> float:
        """How far the target's probability falls where it falls furthest; negative where it rises everywhere."""
        return self.unoccluded - float(self.target_probability.min())

    @property
    def flipped(self) -> NDArray[np.bool_]:
        """Where [rows, cols] the most probable class is another one than without a square."""
        return np.not_equal(self.most_probable_class, self.most_probable_unoccluded)

    def box(self, position: tuple[int, int]) -> Box:
        """The square of a row and a column."""
        top, left = self.squares.tops[position[0]], self.squares.lefts[position[1]]
        return Box(top, left, top + self.squares.window, left + self.squares.window)

    def _at(self, index: np.intp) -> tuple[int, int]:
        row, col = divmod(int(index), len(self.squares.lefts))
        return row, col


@dataclass(frozen=True)
class Agreement:
    """Largest difference over the largest value of the other library's answer.

    `exact`: whether what was compared is to be the same; a reduced precision is not.
    """

    max_relative_difference: float
    exact: bool = True

    @property
    def agrees(self) -> bool | None:
        """Whether it is at most 1e-4; None where it need not be, as long as anything is alike."""
        if not self.exact and self.max_relative_difference < 1:
            return None
        return self.max_relative_difference <= 1e-4


@dataclass(frozen=True)
class CrossCheck:
    """Agreement with Captum of each method that was asked for."""

    library: str
    version: str
    deconv: Agreement | None
    occlusion: Agreement | None
    conventions: dict[str, str]

    @property
    def agreements(self) -> dict[str, Agreement]:
        """By method, those that were asked for."""
        compared = {"deconv": self.deconv, "occlusion": self.occlusion}
        return {method: found for method, found in compared.items() if found is not None}


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
