"""Explanations -> the bytes of an answer."""

import base64
import io
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from ..explanation import CrossCheck, Explanation, LayerProjections, Occlusion, Other, Prediction
from ..methods import deconvnet, occlusion
from ..methods.deconvnet import Feature
from ..net.checkpoint import Record
from ..net.geometry import Box
from ..pictures.decode import Picture
from ..pictures.display import class_counts, occlusion_pixels, patch_pixels, png_bytes, projection_pixels

NOTES = (
    "A projection shows which pattern of this picture one value of one map answers to; it is not evidence for the "
    "class: deconvnet projections hardly depend on the layers above (Nie et al. 2018, Sixt et al. 2020).",
    "An occlusion map shows what the net's answer depends on when a square of this size and fill covers it; a filled "
    "square is a picture the net was not trained on, so compare several fills before concluding.",
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
        return {
            "name": self.name,
            "version": self.version,
            "weights_sha256": self.record.weights_sha256,
            "validation": {key: self.record.validation[key] for key in ("top1", "images")},
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


def explanation(served: Served, picture: Picture, found: Explanation, images: bool) -> dict[str, Any]:
    """The JSON answer of /explanations, without the fields that belong to the request."""
    answer: dict[str, Any] = {
        "image": {
            "width": picture.width,
            "height": picture.height,
            "crop": asdict(picture.crop),
            "preprocessing": asdict(served.record.preprocessing),
        },
        "predictions": predictions(served, found.predictions),
        "target": served.entry(found.target),
    }
    if found.deconv is not None:
        answer["deconv"] = {
            "layers": [_layer(served, part, found, images) for part in found.deconv],
            "conventions": deconvnet.CONVENTIONS,
        }
    if found.occlusion is not None:
        answer["occlusion"] = _occlusion(served, found, found.occlusion, images)
    if found.crosscheck is not None:
        answer["crosscheck"] = _crosscheck(found.crosscheck)
    return answer | {"notes": (CLOSED.format(classes=len(served.record.classes)), *NOTES)}


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
        for feature in part.features:
            key = f"deconv.{part.layer}.{feature.feature}"
            box = feature.receptive_field
            named[f"{key}.rank"] = np.array(part.ranks[feature.feature], np.int64)
            named[f"{key}.projection"] = feature.projection.permute(1, 2, 0).contiguous().numpy()
            named[f"{key}.activation"] = np.array(feature.activation, np.float32)
            named[f"{key}.position"] = np.array(feature.position, np.int64)
            named[f"{key}.receptive_field"] = np.array([box.top, box.left, box.bottom, box.right], np.int64)
    if found.occlusion is not None:
        maps = found.occlusion
        named |= {
            "occlusion.window": np.array(maps.squares.window, np.int64),
            "occlusion.stride": np.array(maps.squares.stride, np.int64),
            "occlusion.tops": np.array(maps.squares.tops, np.int64),
            "occlusion.lefts": np.array(maps.squares.lefts, np.int64),
            "occlusion.feature.layer": np.array(maps.layer, np.int64),
            "occlusion.feature.feature": np.array(maps.feature, np.int64),
            "occlusion.feature.unoccluded": np.array(maps.feature_unoccluded, np.float32),
            "occlusion.feature_activity": maps.feature_activity,
            "occlusion.target_probability": maps.target_probability,
            "occlusion.unoccluded": np.array(maps.unoccluded, np.float32),
            "occlusion.most_probable_class": maps.most_probable_class,
        }
        if maps.max_deviation is not None:
            named["occlusion.max_deviation"] = np.array(maps.max_deviation, np.float32)
    if found.crosscheck is not None:
        for method, one in found.crosscheck.agreements.items():
            named[f"crosscheck.{method}.max_relative_difference"] = np.array(one.max_relative_difference, np.float32)
    return named


def npz(picture: Picture, found: Explanation) -> bytes:
    """All arrays in one compressed file that loads with `allow_pickle=False`."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays(picture, found))
    return buffer.getvalue()


def json_bytes(answer: dict[str, Any]) -> bytes:
    """Compact JSON; numpy arrays are written as lists, float32 in the fewest digits that read back equal."""
    return orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY)


def _layer(served: Served, part: LayerProjections, found: Explanation, images: bool) -> dict[str, Any]:
    features = [
        _feature(part.ranks[feature.feature], feature, found, images)
        | {"others": [_other(served, other, images) for other in part.others.get(feature.feature, ())]}
        for feature in part.features
    ]
    return {"layer": part.layer, "maps": part.maps, "size": part.size, "features": features}


def _feature(rank: int, feature: Feature, found: Explanation, images: bool) -> dict[str, Any]:
    pictures = {}
    if images:
        pictures = {
            "projection": _png(projection_pixels(feature.projection, feature.receptive_field)),
            "patch": _png(patch_pixels(found.pixels, feature.receptive_field)),
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


def _occlusion(served: Served, found: Explanation, maps: Occlusion, images: bool) -> dict[str, Any]:
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
        "max_deviation": maps.max_deviation,
        "precision": maps.precision,
        "conventions": occlusion.CONVENTIONS,
    }
    if images:
        height, width = found.pixels.shape[:2]
        answer["images"] = {name: _png(shown) for name, shown in occlusion_pixels(maps, height, width).items()}
    return answer


def _corner(box: Box) -> dict[str, int]:
    return {"top": box.top, "left": box.left}


def _crosscheck(check: CrossCheck) -> dict[str, Any]:
    agreements = {
        method: {"max_relative_difference": found.max_relative_difference, "agrees": found.agrees}
        for method, found in check.agreements.items()
    }
    return {"library": check.library, "version": check.version, **agreements, "conventions": check.conventions}


def _png(pixels: NDArray[np.uint8]) -> str:
    return base64.b64encode(png_bytes(pixels)).decode()
