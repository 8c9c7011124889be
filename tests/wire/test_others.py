"""The same map in other pictures: in every format that has them, as many as were asked for, and none elsewhere."""

import base64
import io
import json
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tests.document import SCHEMAS, check
from tests.pictures.atlases import SOURCES, grey, write_atlas
from tests.pictures.drawing.figures import FIGURE, captions, kept, texts
from tests.samples import encoded, noise
from tests.served import RECORD, SMALL, sent, service
from zfnet_explainer.explainer import Explainer
from zfnet_explainer.net.checkpoint import Checkpoint
from zfnet_explainer.pictures.atlas import load_atlas
from zfnet_explainer.service.answer import Answer
from zfnet_explainer.service.service import Service
from zfnet_explainer.service.settings import Limits

PNG = encoded(noise())
DECONV = {"data": PNG, "methods": "deconv"}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Service:
    """A service whose atlas has some maps of layer 2, all of layer 5, and no other layer."""
    folder = write_atlas(tmp_path_factory.mktemp("atlas"), RECORD.weights_sha256, {2: [5, 80], 5: range(256)})
    return service(atlas=load_atlas(folder, RECORD.weights_sha256))


@pytest.fixture(scope="module")
def bare(served: Service) -> Service:
    """The same net without an atlas."""
    explainer = Explainer(Checkpoint(served.explainer.chain, RECORD), torch.device("cpu"))
    return Service(explainer, "zfnet", "1.0.0", Limits())


def answered(served: Service, fields: Mapping[str, Any], kserve: bool = False) -> Answer:
    [answer] = served.answer([sent(fields, explain=True, kserve=kserve)], ["r"])
    assert answer.status == HTTPStatus.OK, answer.body[:300]
    return answer


def refused(served: Service, fields: Mapping[str, Any], kserve: bool = False) -> str:
    """The message of an answer that refuses an option."""
    [answer] = served.answer([sent(fields, explain=True, kserve=kserve)], ["r"])
    assert answer.status == HTTPStatus.BAD_REQUEST
    error = json.loads(answer.body)["error"]
    return str(error if kserve else error["message"])


def features(served: Service, **fields: str) -> list[dict[str, Any]]:
    """The projected maps of a JSON answer's only layer; the answer is as documented."""
    answer = json.loads(answered(served, {**DECONV, **fields}).body)
    check(SCHEMAS["Explanation"], answer)
    [layer] = answer["deconv"]["layers"]
    return list(layer["features"])


def test_json_has_as_many_as_are_asked_for(served: Service) -> None:
    assert [f["others"] for f in features(served, features="2")] == [[], []], "none unless they are asked for"
    for feature in features(served, features="3", others="4"):
        fields = ["projection", "activation", "source", "synset", "label"]
        assert [list(other) for other in feature["others"]] == [fields] * 4
        classes = [(other["synset"], other["label"]) for other in feature["others"]]
        assert classes == [("n00", "n00"), ("n01", "tench"), ("n02", "beagle"), ("n03", "golf ball")]
        assert [other["source"] for other in feature["others"]] == list(SOURCES[:4])
        assert [other["activation"] for other in feature["others"]] == [9.5, 8.5, 7.5, 6.5]
        for place, other in enumerate(feature["others"]):
            tile = np.asarray(Image.open(io.BytesIO(base64.b64decode(other["projection"]))))
            assert tile[4:-4, 4:-4].mean() == pytest.approx(grey(feature["feature"], place), abs=8)


def test_without_images_they_are_named(served: Service) -> None:
    [feature] = features(served, feature="3", others="9", images="false")
    assert [list(other) for other in feature["others"]] == [["activation", "source", "synset", "label"]] * 9


def test_maps_and_layers_that_the_atlas_lacks_have_none(served: Service) -> None:
    assert [len(f["others"]) for f in features(served, layer="2", feature="80,6,5", others="9")] == [9, 0, 9]
    assert [len(f["others"]) for f in features(served, layer="3", features="2", others="9")] == [0, 0]


@pytest.mark.parametrize("tensors", [False, True], ids=["npz", "v2"])
def test_they_are_refused_where_the_answer_has_no_place_for_them(served: Service, tensors: bool) -> None:
    tensor = {"name": "image", "shape": [1], "datatype": "BYTES", "data": [base64.b64encode(PNG).decode()]}
    body = {"body": json.dumps({"inputs": [tensor], "parameters": {**SMALL, "others": 2}}).encode()}
    form = {"data": PNG, "format": "npz", "others": "2", **SMALL}
    assert refused(served, body if tensors else form, kserve=tensors).startswith("`others` are pictures")
    answered(served, form | {"others": "0"})


@pytest.mark.parametrize("form", ["json", "png", "html"])
def test_they_are_refused_where_there_is_no_atlas(bare: Service, form: str) -> None:
    answered(bare, {**DECONV, "format": form, "others": "0"})
    message = refused(bare, {**DECONV, "format": form, "others": "1"})
    assert message == "`others` must be an integer from 0 to 0 (this server has no atlas of other pictures), got 1"


def test_kserve_has_them_too(served: Service) -> None:
    instance = {"data": {"b64": base64.b64encode(PNG).decode()}}
    body = {"instances": [instance], "parameters": {"methods": "deconv", "feature": 7, "others": 2}}
    [found] = json.loads(answered(served, {"body": body}, kserve=True).body)["explanations"]
    assert [other["source"] for other in found["deconv"]["layers"][0]["features"][0]["others"]] == list(SOURCES[:2])


@pytest.mark.parametrize("asked", [{"methods": "deconv", "features": "2"}, SMALL], ids=["one layer alone", "Figure 7"])
def test_the_figure_shows_them_unless_none_are_asked_for(
    served: Service, bare: Service, asked: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pages = kept(monkeypatch)
    fields = {"data": PNG, "format": "png", **asked}
    for trained, more in ((served, {}), (served, {"others": "0"}), (bare, {})):
        assert answered(trained, {**fields, **more}).body == FIGURE
    nine, none, without = pages
    assert [caption for caption in captions(nine) if re.fullmatch(r"\d\.5", caption)] == [
        f"{9.5 - i}" for i in range(9)
    ]
    for page in (none, without):
        assert not [text for text in texts(page) if "in other pictures" in text]
    assert texts(none) == texts(without), "as without an atlas"
    assert captions(none) == captions(without)


def test_the_report_names_their_pictures(served: Service, bare: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    kept(monkeypatch)
    fields = {**DECONV, "feature": "7", "format": "html"}
    text, without = (answered(trained, fields).body.decode() for trained in (served, bare))
    assert "The same maps in other pictures" in text
    assert "n00 9.5 (val/n0/picture-0.png), tench 8.5 (val/n1/picture-1.png)" in text
    assert "The same maps in other pictures" not in without


def test_they_count_towards_the_size_of_an_answer(served: Service) -> None:
    asked = {**DECONV, "features": "2"}
    limit = len(answered(served, asked).body) + 1000
    small = Service(served.explainer, "zfnet", "1.0.0", Limits(max_response_bytes=limit))
    answered(small, asked)
    [answer] = small.answer([sent({**asked, "others": "9"}, explain=True)], ["r"])
    assert answer.status == HTTPStatus.BAD_REQUEST
    assert "`others`" in json.loads(answer.body)["error"]["message"]
