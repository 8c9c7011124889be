"""What is answered about a picture: plain values, no server, no bytes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
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
class Prediction:
    """A class and its calibrated probability, rank 1 the most probable."""

    rank: int
    class_index: int
    probability: float


@dataclass(frozen=True, eq=False)
class Scores:
    """What the net makes of one picture: its logits and their calibrated probabilities, both [classes]."""

    logits: FloatArray
    probabilities: FloatArray

    @cached_property
    def predictions(self) -> tuple[Prediction, ...]:
        """All classes by logit, as probabilities underflow and are alike then; ties to the lower index."""
        order = (-self.logits).argsort(kind="stable")
        return tuple(Prediction(i + 1, int(c), float(self.probabilities[c])) for i, c in enumerate(order))


@dataclass(frozen=True, eq=False)
class Other:
    """A map's projection in another picture: uint8 [rows, columns, 3] as shown, its activation, that picture's name
    and class (its synset)."""

    pixels: Pixels
    activation: float
    source: str
    synset: str


@dataclass(frozen=True, eq=False)
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


@dataclass(frozen=True, eq=False)
class Contrast:
    """Why the target and not the class `class_index`: log p(target) - log p(class), by square [rows, cols].

    `max_deviation`: largest difference from float32 in nats, as an `Occlusion` has it of the target's probability.
    """

    class_index: int
    unoccluded: float
    log_odds: FloatArray
    max_deviation: float | None

    @property
    def worst(self) -> tuple[int, int]:
        """Row and column of the square under which they are lowest, the first in reading order."""
        return _position(self.log_odds, self.log_odds.argmin())


@dataclass(frozen=True, eq=False)
class Occlusion:
    """What the net answers under each square of a grid, and with nothing covered: Figure 7's maps [rows, cols].

    `logits` [rows, cols, classes] and `logits_unoccluded` [classes] are the net's; probabilities are those of the
    logits over `temperature`. `target` and `contrast_class` are class indices. `max_deviation` is the largest
    difference of a target probability from float32 over evenly spread squares, at most 16, and `log_odds_deviation`
    that of the contrast's log odds; None where the evaluation is exact. `way`: how the squares were evaluated, `full`,
    `one_group` or `groups` (`methods.incremental.plan.Way`).
    """

    squares: "Squares"
    fill: str
    layer: int
    feature: int
    feature_unoccluded: float
    feature_activity: FloatArray
    logits: FloatArray
    logits_unoccluded: FloatArray
    temperature: float
    target: int
    contrast_class: int | None
    precision: str
    max_deviation: float | None
    log_odds_deviation: float | None
    way: str

    @property
    def exact(self) -> bool:
        return self.max_deviation is None

    def probability(self, class_index: int) -> FloatArray:
        """Of a class, under each square [rows, cols]."""
        return np.ascontiguousarray(self._probabilities[..., class_index])

    @cached_property
    def target_probability(self) -> FloatArray:
        return self.probability(self.target)

    @cached_property
    def probabilities_unoccluded(self) -> FloatArray:
        """Of every class [classes] with nothing covered."""
        return _probabilities(self.logits_unoccluded, self.temperature)

    @property
    def unoccluded(self) -> float:
        """The target's probability with nothing covered."""
        return float(self.probabilities_unoccluded[self.target])

    @cached_property
    def most_probable_class(self) -> IntArray:
        """Class indices [rows, cols], ties to the lower index."""
        found: IntArray = self.logits.argmax(2)
        return found

    @property
    def most_probable_unoccluded(self) -> int:
        return int(self.logits_unoccluded.argmax())

    @cached_property
    def contrast(self) -> Contrast | None:
        """Where a class was named that the target is compared with."""
        if self.contrast_class is None:
            return None
        # The softmax divides both by the same sum, so that log-probabilities differ as logits do.
        unoccluded, log_odds = (
            (logits[..., self.target] - logits[..., self.contrast_class]) / np.float32(self.temperature)
            for logits in (self.logits_unoccluded, self.logits)
        )
        return Contrast(self.contrast_class, float(unoccluded), log_odds, self.log_odds_deviation)

    @property
    def worst(self) -> tuple[int, int]:
        """Row and column of the square under which the target's probability is lowest, the first in reading order."""
        return _position(self.target_probability, self.target_probability.argmin())

    @property
    def best(self) -> tuple[int, int]:
        """Those of the square under which it is highest."""
        return _position(self.target_probability, self.target_probability.argmax())

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

    @cached_property
    def _probabilities(self) -> FloatArray:
        return _probabilities(self.logits, self.temperature)


def _probabilities(logits: FloatArray, temperature: float) -> FloatArray:
    import torch  # whoever has logits has loaded it

    from .net.probability import answered

    return answered(torch.from_numpy(logits), temperature)


def _position(values: FloatArray, index: np.intp) -> tuple[int, int]:
    row, col = divmod(int(index), values.shape[1])
    return row, col


@dataclass(frozen=True)
class Agreement:
    """Largest difference over the largest value of the other library's answer, for maps the unoccluded one included.

    `must_agree`: whether what was compared is to be the same; what a precision or a device rounds is not.
    """

    max_relative_difference: float
    must_agree: bool = True

    @property
    def agrees(self) -> bool | None:
        """Whether it is at most 1e-4; None where it need not be, as long as anything is alike."""
        if not self.must_agree and self.max_relative_difference < 1:
            return None
        return self.max_relative_difference <= 1e-4


@dataclass(frozen=True)
class CrossCheck:
    """Agreement with Captum of each method that was asked for.

    `by_class` has the differences of the occlusion maps that were compared, by class index.
    """

    library: str
    version: str
    deconv: Agreement | None
    occlusion: Agreement | None
    by_class: Mapping[int, float]
    conventions: dict[str, str]

    @property
    def agreements(self) -> dict[str, Agreement]:
        """By method, those that were asked for."""
        compared = {"deconv": self.deconv, "occlusion": self.occlusion}
        return {method: found for method, found in compared.items() if found is not None}


@dataclass(frozen=True, eq=False)
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


def leading(predictions: Sequence[Prediction], wanted: int | None) -> tuple[Prediction, int | None]:
    """The target, wanted or most probable, and the most probable class that is not it, if there is one."""
    target = next(p for p in predictions if wanted in (None, p.class_index))
    return target, next((p.class_index for p in predictions if p is not target), None)
