"""Explanations -> the arrays of npz and of the Open Inference Protocol."""

import io
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..explanation import Contrast, Explanation, LayerProjections, Occlusion
from ..pictures.decode import Picture


def arrays(picture: Picture, found: Explanation) -> dict[str, NDArray[Any]]:
    """The arrays of an explanation and what one needs to read them, float32 or int64, by their paths in JSON."""
    named: dict[str, NDArray[Any]] = {
        "probabilities": found.probabilities,
        "target.class_index": np.array(found.target.class_index, np.int64),
        "target.probability": np.array(found.target.probability, np.float32),
        "image.pixels": found.pixels.astype(np.int64),
        "image.width": np.array(picture.width, np.int64),
        "image.height": np.array(picture.height, np.int64),
        **{f"image.crop.{name}": np.array(value, np.int64) for name, value in asdict(picture.crop).items()},
    }
    for part in found.deconv or ():
        named |= _projections(part)
    if found.occlusion is not None:
        named |= _occlusion(found.occlusion)
    if found.crosscheck is not None:
        for method, one in found.crosscheck.agreements.items():
            named[f"crosscheck.{method}.max_relative_difference"] = np.array(one.max_relative_difference, np.float32)
    return named


def _projections(part: LayerProjections) -> dict[str, NDArray[Any]]:
    named: dict[str, NDArray[Any]] = {}
    for feature in part.features:
        key = f"deconv.{part.layer}.{feature.feature}"
        box = feature.receptive_field
        named[f"{key}.rank"] = np.array(part.ranks[feature.feature], np.int64)
        named[f"{key}.projection"] = feature.projection.permute(1, 2, 0).contiguous().numpy()
        named[f"{key}.activation"] = np.array(feature.activation, np.float32)
        named[f"{key}.position"] = np.array(feature.position, np.int64)
        named[f"{key}.receptive_field"] = np.array([box.top, box.left, box.bottom, box.right], np.int64)
    return named


def _occlusion(maps: Occlusion) -> dict[str, NDArray[Any]]:
    named: dict[str, NDArray[Any]] = {
        "occlusion.window": np.array(maps.squares.window, np.int64),
        "occlusion.stride": np.array(maps.squares.stride, np.int64),
        "occlusion.tops": np.array(maps.squares.tops, np.int64),
        "occlusion.lefts": np.array(maps.squares.lefts, np.int64),
        "occlusion.feature.layer": np.array(maps.layer, np.int64),
        "occlusion.feature.feature": np.array(maps.feature, np.int64),
        "occlusion.feature.unoccluded": np.array(maps.feature_unoccluded, np.float32),
        "occlusion.feature_activity": maps.feature_activity,
        "occlusion.logits": maps.logits,
        "occlusion.temperature": np.array(maps.temperature, np.float32),
        "occlusion.target_probability": maps.target_probability,
        "occlusion.unoccluded": np.array(maps.unoccluded, np.float32),
        "occlusion.most_probable_class": maps.most_probable_class,
    }
    if maps.contrast is not None:
        named |= {f"occlusion.contrast.{name}": values for name, values in _contrast(maps.contrast).items()}
    if maps.max_deviation is not None:
        named["occlusion.max_deviation"] = np.array(maps.max_deviation, np.float32)
    return named


def _contrast(contrast: Contrast) -> dict[str, NDArray[Any]]:
    named: dict[str, NDArray[Any]] = {
        "class_index": np.array(contrast.class_index, np.int64),
        "unoccluded": np.array(contrast.unoccluded, np.float32),
        "log_odds": contrast.log_odds,
    }
    if contrast.max_deviation is not None:
        named["max_deviation"] = np.array(contrast.max_deviation, np.float32)
    return named


def npz(picture: Picture, found: Explanation) -> bytes:
    """All arrays in one compressed file that loads with `allow_pickle=False`."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays(picture, found))
    return buffer.getvalue()
