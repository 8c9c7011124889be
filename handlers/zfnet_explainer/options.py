"""What is asked about a picture: plain values, no server, no bytes."""

from collections.abc import Collection, Container, Sequence, Set
from dataclasses import dataclass
from numbers import Integral
from typing import Literal

from .methods.squares import Squares, squares
from .net.precision import PRECISIONS

METHODS = ("deconv", "occlusion")
WINDOW, STRIDE = 32, 8  # pixels, where a picture and a window are not smaller


@dataclass(frozen=True)
class Options:
    """What is asked about one picture.

    `target` is a class index, None the predicted class; `contrast` another class's, or `second`, the most probable
    class that is not the target; `layers` count from 1, none named is the last; `feature` names maps of one layer in
    the place of its `features` strongest; `window` and `stride` are in pixels, None 32 and 8 or as much as fits.
    """

    top_k: int = 5
    methods: frozenset[str] = frozenset(METHODS)
    target: int | None = None
    layers: tuple[int, ...] = ()
    features: int = 9
    feature: tuple[int, ...] | None = None
    others: int = 0
    window: int | None = None
    stride: int | None = None
    fill: str = "gray"
    precision: str = "float32"
    crosscheck: bool = False
    contrast: int | Literal["second"] | None = None

    def squares(self, size: int) -> Squares:
        """The squares over a picture [size, size]. Raises ValueError where they do not fit."""
        window = self._window(size)
        stride = min(STRIDE, window) if self.stride is None else self.stride
        return squares(size, size, window, stride)

    def check(self, maps: Sequence[int], classes: int, size: int) -> None:
        """Raise ValueError, naming the option, for what a net cannot be asked; `fill` is for `pictures.fill` to check.

        The net has so many maps by layer and so many classes, and sees pictures [size, size].
        """
        methods = isinstance(self.methods, Set) and self.methods and self.methods <= set(METHODS)
        self._require("methods", bool(methods), f"a set of one or both of {', '.join(METHODS)}")
        index, indices = f"a class index from 0 to {classes - 1}", range(classes)
        self._require("target", self.target is None or _integer(self.target, indices), f"{index}, or None")
        named = self.contrast is None or self.contrast == "second" or _integer(self.contrast, indices)
        self._require("contrast", named, f"{index}, `second` or None")
        precise = isinstance(self.precision, str) and self.precision in PRECISIONS
        self._require("precision", precise, f"one of {', '.join(PRECISIONS)}")
        self._require("crosscheck", isinstance(self.crosscheck, bool), "True or False")
        for option, least in (("top_k", 1), ("features", 1), ("others", 0)):
            count = getattr(self, option)
            self._require(option, _integer(count) and count >= least, f"an integer from {least}")
        self._check_maps(maps)
        self._check_squares(size)

    def _check_maps(self, maps: Sequence[int]) -> None:
        last = len(maps)
        layers = _each_once(self.layers, range(1, last + 1))
        self._require("layers", layers, f"a tuple of the layers 1 to {last}, each once")
        if self.feature is None:
            return
        if len(self.layers) > 1:
            raise ValueError(f"`feature` names maps of one layer: give one of `layers`, not {self.layers!r}")
        layer = self.layers[0] if self.layers else last
        indices = range(maps[layer - 1])
        chosen = _each_once(self.feature, indices) and len(self.feature) > 0
        self._require("feature", chosen, f"a tuple of map indices from 0 to {indices[-1]} (layer {layer}), each once")

    def _check_squares(self, size: int) -> None:
        fits = self.window is None or _integer(self.window, range(1, size + 1))
        self._require("window", fits, f"an integer from 1 to {size} (the side of the picture), or None")
        window = self._window(size)
        fits = self.stride is None or _integer(self.stride, range(1, window + 1))
        self._require("stride", fits, f"an integer from 1 to {window} (the window), or None")

    def _window(self, size: int) -> int:
        return min(WINDOW, size) if self.window is None else self.window

    def _require(self, option: str, met: bool, expected: str) -> None:
        if not met:
            raise ValueError(f"`{option}` must be {expected}, got {getattr(self, option)!r}")


def _integer(value: object, known: Container[object] | None = None) -> bool:
    """Whether it is an integer, numpy's included, and one of those that are known."""
    whole = isinstance(value, Integral) and not isinstance(value, bool)
    return whole and (known is None or value in known)


def _each_once(values: Collection[object], known: Container[object]) -> bool:
    return (
        isinstance(values, tuple | list) and all(_integer(v, known) for v in values) and len(set(values)) == len(values)
    )
