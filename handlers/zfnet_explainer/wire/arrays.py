"""Explanations -> the arrays of npz and of the Open Inference Protocol: a table of each part's names and values."""

import io
from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..explanation import Contrast, Explanation, LayerProjections, Occlusion
from ..methods.deconvnet import Feature
from ..pictures.view import Picture

SIDES = attrgetter("top", "left", "bottom", "right")

Arrays = dict[str, NDArray[Any]]

PICTURE: Mapping[str, Callable[[Picture, Explanation], Any]] = {
    "target.class_index": lambda _, found: found.target.class_index,
    "target.probability": lambda _, found: found.target.probability,
    "image.pixels": lambda _, found: found.pixels,
    "image.width": lambda picture, _: picture.width,
    "image.height": lambda picture, _: picture.height,
    "image.crop.top": lambda picture, _: picture.crop.top,
    "image.crop.left": lambda picture, _: picture.crop.left,
    "image.crop.height": lambda picture, _: picture.crop.height,
    "image.crop.width": lambda picture, _: picture.crop.width,
}
MAP: Mapping[str, Callable[[LayerProjections, Feature], Any]] = {
    "rank": lambda part, one: part.ranks[one.feature],
    "projection": lambda _, one: one.projection.permute(1, 2, 0).contiguous().numpy(),
    "activation": lambda _, one: one.activation,
    "position": lambda _, one: one.position,
    "receptive_field": lambda _, one: SIDES(one.receptive_field),
}
OCCLUSION: Mapping[str, Callable[[Occlusion], Any]] = {
    "window": lambda maps: maps.squares.window,
    "stride": lambda maps: maps.squares.stride,
    "tops": lambda maps: maps.squares.tops,
    "lefts": lambda maps: maps.squares.lefts,
    "feature.layer": lambda maps: maps.layer,
    "feature.feature": lambda maps: maps.feature,
    "feature.unoccluded": lambda maps: maps.feature_unoccluded,
    "feature_activity": lambda maps: maps.feature_activity,
    "logits": lambda maps: maps.logits,
    "temperature": lambda maps: maps.temperature,
    "target_probability": lambda maps: maps.target_probability,
    "unoccluded": lambda maps: maps.unoccluded,
    "most_probable_class": lambda maps: maps.most_probable_class,
}
CONTRAST: Mapping[str, Callable[[Contrast], Any]] = {
    "class_index": lambda contrast: contrast.class_index,
    "unoccluded": lambda contrast: contrast.unoccluded,
    "log_odds": lambda contrast: contrast.log_odds,
}
DEVIATION = "max_deviation"  # of maps and log odds, where they are not exact


def arrays(picture: Picture, explanation: Explanation) -> Arrays:
    """The arrays of an explanation and what one needs to read them, float32 or int64, by their paths in JSON."""
    named = {"probabilities": _array(explanation.probabilities)} | _read("", PICTURE, picture, explanation)
    for part in explanation.deconv or ():
        for one in part.features:
            named |= _read(f"deconv.{part.layer}.{one.feature}.", MAP, part, one)
    if explanation.occlusion is not None:
        named |= _read("occlusion.", OCCLUSION, explanation.occlusion)
        if explanation.occlusion.contrast is not None:
            named |= _read("occlusion.contrast.", CONTRAST, explanation.occlusion.contrast)
            named |= _deviation("occlusion.contrast.", explanation.occlusion.contrast)
        named |= _deviation("occlusion.", explanation.occlusion)
    if explanation.crosscheck is not None:
        for method, agreement in explanation.crosscheck.agreements.items():
            named[f"crosscheck.{method}.max_relative_difference"] = _array(agreement.max_relative_difference)
    return named


def npz(picture: Picture, explanation: Explanation) -> bytes:
    """All arrays in one compressed file that loads with `allow_pickle=False`."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays(picture, explanation))
    return buffer.getvalue()


def _read(prefix: str, table: Mapping[str, Callable[..., Any]], *of: object) -> Arrays:
    return {prefix + name: _array(read(*of)) for name, read in table.items()}


def _deviation(prefix: str, of: Occlusion | Contrast) -> Arrays:
    return {} if of.max_deviation is None else {prefix + DEVIATION: _array(of.max_deviation)}


def _array(value: Any) -> NDArray[Any]:
    """Numbers as float32, whole ones as int64."""
    found = np.asarray(value)
    return found.astype(np.float32 if found.dtype.kind == "f" else np.int64, copy=False)
