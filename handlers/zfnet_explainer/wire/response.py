"""Explanations -> the bytes of an answer."""

import base64
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from ..explanation import Contrast, CrossCheck, Explanation, LayerProjections, Occlusion, Other, Prediction
from ..methods import deconvnet, occlusion
from ..methods.deconvnet import Feature
from ..net.geometry import Box
from ..net.record import Record
from ..pictures.display import class_counts, occlusion_pixels, patch_pixels, png_bytes, projection_pixels
from ..pictures.view import Picture

NOTES = (
    "A projection shows which pattern of this picture one value of one map answers to; it is not evidence for the "
    "class: deconvnet projections hardly depend on the layers above (Nie et al. 2018, Sixt et al. 2020).",
    "An occlusion map shows what the net's answer depends on when a square of this size and fill covers it; a covered "
    "picture is no photograph, and how far a fill misleads the net depends on both: compare several before concluding.",
)
CLOSED = (
    "The net knows {classes} classes and answers with one of them whatever it is shown: a high probability does not "
    "say that the picture is of any of them."
)


@dataclass(frozen=True)
class Served:
    """Who answers: the model's name and version on this server, its record and its device."""

    name: str
    version: str
    device: str
    record: Record

    def model(self) -> dict[str, Any]:
        validation = self.record.validation
        return {
            "name": self.name,
            "version": self.version,
            "weights_sha256": self.record.weights_sha256,
            "validation": validation and {key: validation[key] for key in ("top1", "images")},
            "device": self.device,
        }

    def entry(self, prediction: Prediction) -> dict[str, Any]:
        """A class with its names, as every answer writes it."""
        return {**self.class_names(prediction.class_index), "probability": prediction.probability}

    @cached_property
    def labels(self) -> dict[str, str]:
        """The classes' labels by synset."""
        return {name.synset: name.label for name in self.record.classes}

    def class_names(self, index: int) -> dict[str, Any]:
        name = self.record.classes[index]
        return {"class_index": index, "synset": name.synset, "label": name.label}


def predictions(served: Served, ranked: tuple[Prediction, ...]) -> list[dict[str, Any]]:
    return [{"rank": p.rank, **served.entry(p)} for p in ranked]


def stamped(served: Served, request_id: str, seconds: Mapping[str, float], fields: dict[str, Any]) -> dict[str, Any]:
    """The answer's fields with those of the request: its id, who answers, and milliseconds by stage."""
    timing = {stage: round(1000 * spent, 3) for stage, spent in seconds.items()}
    return {"request_id": request_id, "model": served.model(), **fields, "timing_ms": timing}


def explained(served: Served, picture: Picture, explanation: Explanation, images: bool) -> dict[str, Any]:
    """The JSON answer of /explanations, without the fields that belong to the request."""
    answer = described(served, picture, explanation, images)
    if explanation.occlusion is not None:
        answer["occlusion"]["by_class"] = _by_class(served, explanation, explanation.occlusion)
    return answer


def described(served: Served, picture: Picture, explanation: Explanation, images: bool) -> dict[str, Any]:
    """That answer without the grids of the predicted classes, which a report does not tell."""
    answer: dict[str, Any] = {
        "image": {
            "width": picture.width,
            "height": picture.height,
            "crop": asdict(picture.crop),
            "preprocessing": asdict(served.record.preprocessing),
        },
        "predictions": predictions(served, explanation.predictions),
        "target": served.entry(explanation.target),
    }
    if explanation.deconv is not None:
        answer["deconv"] = {
            "layers": [_layer(served, part, explanation, images) for part in explanation.deconv],
            "conventions": deconvnet.CONVENTIONS,
        }
    if explanation.occlusion is not None:
        answer["occlusion"] = _occlusion(served, explanation, explanation.occlusion, images)
    if explanation.crosscheck is not None:
        answer["crosscheck"] = _crosscheck(served, explanation.crosscheck)
    return answer | {"notes": (CLOSED.format(classes=len(served.record.classes)), *NOTES)}


def json_bytes(answer: dict[str, Any]) -> bytes:
    """Compact JSON; numpy arrays are written as lists, float32 in the fewest digits that read back equal."""
    return orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY)


def _layer(served: Served, part: LayerProjections, explanation: Explanation, images: bool) -> dict[str, Any]:
    features = [
        _feature(part.ranks[feature.feature], feature, explanation, images)
        | {"others": [_other(served, other, images) for other in part.others.get(feature.feature, ())]}
        for feature in part.features
    ]
    return {"layer": part.layer, "maps": part.maps, "size": part.size, "features": features}


def _feature(rank: int, feature: Feature, explanation: Explanation, images: bool) -> dict[str, Any]:
    pictures = {}
    if images:
        pictures = {
            "projection": _png(projection_pixels(feature.projection, feature.receptive_field)),
            "patch": _png(patch_pixels(explanation.pixels, feature.receptive_field)),
        }
    return {
        "rank": rank,
        "feature": feature.feature,
        "activation": feature.activation,
        "position": feature.position,
        "receptive_field": asdict(feature.receptive_field),
        **pictures,
    }


def _other(served: Served, other: Other, images: bool) -> dict[str, Any]:
    pictures = {"projection": _png(other.pixels)} if images else {}
    label = served.labels.get(other.synset, other.synset)  # a net may be shown pictures of classes it does not know
    return {**pictures, "activation": other.activation, "source": other.source, "synset": other.synset, "label": label}


def _occlusion(served: Served, explanation: Explanation, maps: Occlusion, images: bool) -> dict[str, Any]:
    squares = maps.squares
    worst, best = float(maps.target_probability[maps.worst]), float(maps.target_probability[maps.best])
    answer: dict[str, Any] = {
        "window": squares.window,
        "stride": squares.stride,
        "fill": maps.fill,
        "rows": len(squares.tops),
        "cols": len(squares.lefts),
        "tops": squares.tops,
        "lefts": squares.lefts,
        "feature": {"layer": maps.layer, "feature": maps.feature, "unoccluded": maps.feature_unoccluded},
        "feature_activity": maps.feature_activity,
        "target_probability": maps.target_probability,
        "unoccluded": maps.unoccluded,
        "most_probable_class": maps.most_probable_class,
        "classes": [{**served.class_names(index), "positions": count} for index, count in class_counts(maps)],
        "summary": {
            "worst": {**_corner(maps.box(maps.worst)), "probability": worst, "drop": maps.unoccluded - worst},
            "best": {**_corner(maps.box(maps.best)), "probability": best, "rise": best - maps.unoccluded},
            "flipped_share": float(maps.flipped.mean()),
        },
        "exact": maps.exact,
        "temperature": maps.temperature,
        "max_deviation": maps.max_deviation,
        "way": maps.way,
        "precision": maps.precision,
        "conventions": occlusion.CONVENTIONS,
    }
    if maps.contrast is not None:
        answer["contrast"] = _contrast(served, maps, maps.contrast)
    if images:
        height, width = explanation.pixels.shape[:2]
        answer["images"] = {name: _png(shown) for name, shown in occlusion_pixels(maps, height, width).items()}
    return answer


def _by_class(served: Served, explanation: Explanation, maps: Occlusion) -> list[dict[str, Any]]:
    return [
        {
            **served.class_names(p.class_index),
            "unoccluded": p.probability,
            "probability": maps.probability(p.class_index),
        }
        for p in explanation.predictions
    ]


def _contrast(served: Served, maps: Occlusion, contrast: Contrast) -> dict[str, Any]:
    lowest = float(contrast.log_odds[contrast.worst])
    return {
        **served.class_names(contrast.class_index),
        "unoccluded": contrast.unoccluded,
        "log_odds": contrast.log_odds,
        "worst": {**_corner(maps.box(contrast.worst)), "log_odds": lowest},
        "max_deviation": contrast.max_deviation,
    }


def _corner(box: Box) -> dict[str, int]:
    return {"top": box.top, "left": box.left}


def _crosscheck(served: Served, check: CrossCheck) -> dict[str, Any]:
    agreements: dict[str, dict[str, Any]] = {
        method: {"max_relative_difference": found.max_relative_difference, "agrees": found.agrees}
        for method, found in check.agreements.items()
    }
    if check.occlusion is not None:
        agreements["occlusion"]["by_class"] = [
            {**served.class_names(index), "max_relative_difference": apart} for index, apart in check.by_class.items()
        ]
    return {"library": check.library, "version": check.version, **agreements, "conventions": check.conventions}


def _png(pixels: NDArray[np.uint8]) -> str:
    return base64.b64encode(png_bytes(pixels)).decode()
