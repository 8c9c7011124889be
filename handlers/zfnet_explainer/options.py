"""What is asked about a picture: plain values, no server, no bytes."""

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from .net.precision import PRECISIONS

METHODS = ("deconv", "occlusion")


@dataclass(frozen=True)
class Options:
    """What is asked about one picture.

    `target` is a class index, None the predicted class; `contrast` another class's, or `second`, the most probable
    class that is not the target; `layers` count from 1, none named is the last; `feature` names maps of one layer in
    the place of its `features` strongest; `window` and `stride` are in pixels.
    """

    top_k: int = 5
    methods: frozenset[str] = frozenset(METHODS)
    target: int | None = None
    layers: tuple[int, ...] = ()
    features: int = 9
    feature: tuple[int, ...] | None = None
    others: int = 0
    window: int = 32
    stride: int = 8
    fill: str = "gray"
    precision: str = "float32"
    crosscheck: bool = False
    contrast: int | Literal["second"] | None = None

    def check(self, maps: Sequence[int], classes: int) -> None:
        """Raise ValueError for what a net of so many maps by layer and so many classes cannot be asked."""
        last, index = len(maps), f"a class index from 0 to {classes - 1}"
        _check("methods", self.methods, METHODS, f"of {', '.join(METHODS)}")
        _check("target", (self.target,), (None, *range(classes)), index)
        _check("contrast", (self.contrast,), (None, "second", *range(classes)), f"{index} or `second`")
        _check("layers", self.layers, range(1, last + 1), f"of the layers 1 to {last}")
        _check("precision", (self.precision,), PRECISIONS, f"of {', '.join(PRECISIONS)}")
        for option, least in (("top_k", 1), ("features", 1), ("others", 0)):
            if getattr(self, option) < least:
                raise ValueError(f"`{option}` must be an integer from {least}, got {getattr(self, option)!r}")
        for layer in self.layers or (last,):
            count = maps[layer - 1]
            _check("feature", self.feature or (), range(count), f"map indices from 0 to {count - 1} (layer {layer})")


def _check(option: str, given: Iterable[object], known: Container[object], expected: str) -> None:
    for value in given:
        if value not in known:
            raise ValueError(f"`{option}` must be {expected}, got {value!r}")
