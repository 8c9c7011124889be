"""The projections that were found, in JSON and in arrays: every number in its place, and its axes in their order."""

import base64
import io
import json
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tests.chains import like_zfnet
from tests.explained import OPTIONS, SIDE, record
from tests.samples import encoded, noise
from zfnet_explainer.explainer import Explainer
from zfnet_explainer.explanation import Explanation
from zfnet_explainer.methods.deconvnet import Feature
from zfnet_explainer.net.checkpoint import Checkpoint
from zfnet_explainer.pictures.decode import decode
from zfnet_explainer.pictures.display import projection_pixels
from zfnet_explainer.wire import response
from zfnet_explainer.wire.arrays import arrays

RECORD = record(5, SIDE)
SERVED = response.Served("small", "1", "cpu", RECORD)
PICTURE = decode(encoded(noise(SIDE, SIDE, seed=4)), SIDE)


@pytest.fixture(scope="module")
def found() -> Explanation:
    """Projections of two layers' strongest maps, off the diagonal, so that exchanged axes show."""
    explainer = Explainer(Checkpoint(like_zfnet(seed=3, size=(3, SIDE, SIDE)), RECORD), torch.device("cpu"))
    found = explainer.explain(PICTURE.pixels, replace(OPTIONS, features=4, methods=frozenset({"deconv"})))
    assert any(feature.position[0] != feature.position[1] for _, _, feature in maps(found))
    assert any(box.top != box.left for _, _, feature in maps(found) if (box := feature.receptive_field))
    return found


def maps(found: Explanation) -> list[tuple[int, int, Feature]]:
    """Layer, rank and map of every projection: the strongest are in the order of their ranks."""
    return [(part.layer, i + 1, feature) for part in found.deconv or () for i, feature in enumerate(part.features)]


def test_arrays_have_the_projections_that_were_found(found: Explanation) -> None:
    named = arrays(PICTURE, found)
    for layer, rank, feature in maps(found):
        key, box = f"deconv.{layer}.{feature.feature}", feature.receptive_field
        for channel in range(3):
            assert np.array_equal(named[f"{key}.projection"][..., channel], feature.projection[channel])
        assert named[f"{key}.receptive_field"].tolist() == [box.top, box.left, box.bottom, box.right]
        assert named[f"{key}.position"].tolist() == list(feature.position)
        assert named[f"{key}.rank"] == rank
        assert named[f"{key}.activation"] == np.float32(feature.activation)


def test_json_has_the_projections_that_were_found(found: Explanation) -> None:
    answer = json.loads(response.json_bytes(response.explained(SERVED, PICTURE, found, images=True)))
    told = [(layer["layer"], feature) for layer in answer["deconv"]["layers"] for feature in layer["features"]]
    for (layer, said), (wanted, rank, feature) in zip(told, maps(found), strict=True):
        box = feature.receptive_field
        assert (layer, said["feature"], said["rank"]) == (wanted, feature.feature, rank)
        assert (said["position"], said["receptive_field"]) == (list(feature.position), asdict(box))
        assert said["activation"] == pytest.approx(feature.activation, rel=1e-6)
        assert np.array_equal(shown(said["patch"]), PICTURE.pixels[box.top : box.bottom, box.left : box.right])
        assert np.array_equal(shown(said["projection"]), projection_pixels(feature.projection, box))


def shown(png: str) -> Any:
    return np.array(Image.open(io.BytesIO(base64.b64decode(png))))
