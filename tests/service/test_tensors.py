"""Tensors of explanations: what of them can be asked for, and what is refused before any picture is explained."""

import base64
import json
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch

from tests.chains import like_zfnet
from tests.explained import SIDE, record
from tests.samples import encoded, noise
from tests.served import sent
from zfnet_explainer.errors import UnusableOption
from zfnet_explainer.explainer import Explainer
from zfnet_explainer.explanation import Explanation, Pixels
from zfnet_explainer.net.checkpoint import Checkpoint
from zfnet_explainer.options import Options
from zfnet_explainer.service.service import Service
from zfnet_explainer.service.settings import Limits

NOISE, WHITE = encoded(noise(SIDE, SIDE, seed=4)), encoded(np.full((SIDE, SIDE, 3), 255, np.uint8))
# Its layers have 6, 8 and 7 maps.
CHECKPOINT = Checkpoint(like_zfnet(seed=3, size=(3, SIDE, SIDE)), record(5, SIDE))
CHEAP = {"window": 13, "stride": 12, "features": 2}


def service(keeps_float32: bool = True) -> Service:
    """Of a small net, on a device that keeps float32 or rounds it."""
    explainer = Explainer(CHECKPOINT, torch.device("cpu"))
    explainer.keeps_float32 = keeps_float32
    return Service(explainer, "small", "1", Limits())


@pytest.fixture(scope="module")
def served() -> Service:
    return service()


@pytest.fixture
def idle(monkeypatch: pytest.MonkeyPatch) -> Service:
    """Which fails where it is made to explain."""
    found = service()

    def explain(*_: object) -> None:
        raise AssertionError("it was computed")

    monkeypatch.setattr(found.explainer, "explain", explain)
    return found


def tensors(
    served: Service,
    options: Mapping[str, Any],
    *outputs: str,
    pictures: tuple[bytes, ...] = (NOISE,),
    explain: bool = True,
) -> Any:
    data = [base64.b64encode(picture).decode() for picture in pictures]
    body: dict[str, Any] = {"inputs": [{"name": "image", "shape": [len(data)], "datatype": "BYTES", "data": data}]}
    body |= {"parameters": dict(options), "outputs": [{"name": name} for name in outputs]}
    [answer] = served.answer([sent({"body": json.dumps(body).encode()}, explain, True)], ["id"])
    return json.loads(answer.body)


def names(answer: Any) -> list[str]:
    return [output["name"] for output in answer["outputs"]]


@pytest.mark.parametrize("keeps_float32", [True, False])
@pytest.mark.parametrize("pictures", [(NOISE,), (NOISE, WHITE, NOISE)], ids=["one", "three"])
@pytest.mark.parametrize(
    "options",
    [
        CHEAP,
        {**CHEAP, "layer": "1,3", "contrast": "second"},
        {"methods": "deconv", "layer": 2, "features": 8},
        {"methods": "occlusion", "window": 37},
        {"methods": "occlusion", "window": 37, "stride": 37, "crosscheck": "captum"},
    ],
    ids=str,
)
def test_a_refusal_lists_what_an_answer_has(
    options: Mapping[str, Any], pictures: tuple[bytes, ...], keeps_float32: bool
) -> None:
    served = service(keeps_float32)
    whole = names(tensors(served, options, pictures=pictures))
    refused, said = tensors(served, options, "?", pictures=pictures)["error"].split("; there are ")
    assert refused == "there is no output `?`"
    # Of a map there is a kind of name; of several layers they stand in it together.
    layers = options.get("layer", 3)
    told = {re.sub(r"\bdeconv\.\d+\.\d+\.", f"deconv.{layers}.<map>.".replace(",", "|"), name) for name in whole}
    if len(pictures) > 1:
        told = {re.sub(r"^[0-2]\.", "<0-2>.", name) for name in told}
    assert sorted(said.split(", ")) == sorted(told)
    assert names(tensors(served, options, *whole[::-1], pictures=pictures)) == whole


@pytest.mark.parametrize(
    ("options", "pictures", "wrong", "nearest"),
    [
        ({}, 1, "occlusion.target_probabilty", "occlusion.target_probability"),
        ({}, 1, "occlusion.Logits", "occlusion.logits"),
        ({}, 1, "occlusion.max_deviation", "occlusion."),
        ({}, 1, "occlusion.contrast.log_odds", "occlusion."),
        ({"methods": "deconv"}, 1, "occlusion.window", "probabilities"),
        ({}, 1, "deconv.3.7.rank", "deconv.3.<map>.rank"),
        ({}, 1, "deconv.3.06.rank", "deconv.3.<map>.rank"),
        ({}, 1, "deconv.2.0.rank", "deconv.3.<map>.rank"),
        ({"feature": "4,0"}, 1, "deconv.3.1.position", "deconv.3.4|0.position"),
        ({}, 1, "0.image.width", "image.width"),
        ({}, 2, "image.width", "<0-1>.image.width"),
        ({}, 2, "2.image.width", "<0-1>.image.width"),
        ({}, 2, "01.image.width", "<0-1>.image.width"),
    ],
)
def test_an_output_that_cannot_be_is_refused_before_the_work(
    idle: Service, options: Mapping[str, Any], pictures: int, wrong: str, nearest: str
) -> None:
    error = tensors(idle, options, "classes", wrong, pictures=(NOISE,) * pictures)["error"]
    assert error.startswith(f"there is no output `{wrong}`; there are ")
    assert error.partition("; there are ")[2].startswith(nearest)


def test_a_map_that_is_not_among_the_strongest_is_told_so(served: Service) -> None:
    options = {"methods": "deconv", "features": 1}
    strongest = next(name for name in names(tensors(served, options)) if name.endswith(".rank"))
    other = next(name for name in (f"deconv.3.{i}.rank" for i in range(7)) if name != strongest)
    assert tensors(served, options, strongest, other)["error"] == (
        f"there is no output `{other}`: that map is not among the strongest; name it with `feature`, or ask for more "
        "`features`"
    )
    assert names(tensors(served, {"methods": "deconv", "feature": other.split(".")[2]}, other)) == [other]


@pytest.mark.parametrize("explain", [False, True], ids=["infer", "explain"])
def test_an_output_is_named_once(idle: Service, explain: bool) -> None:
    answer = tensors(idle, {}, "probabilities", "classes", "probabilities", explain=explain)
    assert answer == {"error": "`probabilities` is given twice"}


# Options that nothing in an answer could follow

LISTS = (
    "`top_k` is about lists of predictions, in whose place this answer has the probability of every class: leave it out"
)
PNGS = "`images` is about the PNGs inside of json, and this answer has none: leave it out"


@pytest.mark.parametrize(
    ("explain", "option", "said"),
    [(False, {"top_k": 3}, LISTS), (True, {"top_k": 3}, LISTS), (True, {"images": True}, PNGS)],
)
def test_tensors_have_no_place_for_them(idle: Service, explain: bool, option: Mapping[str, Any], said: str) -> None:
    assert tensors(idle, option, explain=explain) == {"error": said}


@pytest.mark.parametrize("written", ["png", "html", "npz", "json"])
@pytest.mark.parametrize(("option", "value", "said"), [("top_k", "3", LISTS), ("images", "false", PNGS)])
def test_files_have_a_place_for_some(idle: Service, written: str, option: str, value: str, said: str) -> None:
    [answer] = idle.answer([sent({"data": NOISE, "format": written, option: value}, True)], ["id"])
    error = json.loads(answer.body)["error"]
    if written == "json" or (option == "top_k" and written != "npz"):
        assert error["code"] == "internal_error", "it was taken, and the work begun"
    else:
        assert (error["code"], error["option"], error["message"]) == ("invalid_option", option, said)


# One of several pictures


def test_a_picture_that_cannot_be_read_is_named(idle: Service) -> None:
    said = "these bytes are not a picture this server reads"
    assert tensors(idle, {}, pictures=(NOISE, b"text", b""))["error"].startswith(f"picture 1, counted from 0: {said}")
    assert tensors(idle, {}, pictures=(b"text",))["error"].startswith(said)


def instances(served: Service, options: Mapping[str, Any], explain: bool) -> Any:
    entries = [{"b64": base64.b64encode(picture).decode()} for picture in (NOISE, WHITE, NOISE)]
    body = {"instances": entries, "parameters": dict(options)}
    [answer] = served.answer([sent({"body": json.dumps(body).encode()}, explain, True)], ["id"])
    return json.loads(answer.body)["explanations" if explain else "predictions"]


def test_a_picture_of_the_contrasts_own_class_is_named_before_any_is_explained(served: Service, idle: Service) -> None:
    found = [entry["predictions"][0]["class_index"] for entry in instances(served, {"top_k": 1}, explain=False)]
    assert found[0] == found[2] != found[1]
    options = {"contrast": f"n{found[1]}", "methods": "occlusion", "window": SIDE}
    said = f"`contrast` is class {found[1]}, the target itself: name another class, or `second`"
    answer = tensors(idle, options, pictures=(NOISE, WHITE, NOISE))
    assert answer == {"error": f"picture 1, counted from 0: {said}"}
    assert tensors(served, options, pictures=(WHITE,)) == {"error": said}
    assert "error" not in tensors(served, options, pictures=(NOISE, NOISE))
    first, second, third = instances(served, options, explain=True)
    assert (second["error"]["option"], second["error"]["message"]) == ("contrast", said)
    for entry in (first, third):
        assert entry["occlusion"]["contrast"]["class_index"] == found[1]


def test_what_only_the_work_shows_names_its_picture_too(monkeypatch: pytest.MonkeyPatch) -> None:
    served = service()
    whole = served.explainer.explain

    def overflowing(pixels: Pixels, options: Options) -> Explanation:
        if pixels.min() == 255:
            raise UnusableOption("`precision` cannot hold this", "precision")
        return whole(pixels, options)

    monkeypatch.setattr(served.explainer, "explain", overflowing)
    answer = tensors(served, CHEAP, pictures=(NOISE, NOISE, WHITE))
    assert answer == {"error": "picture 2, counted from 0: `precision` cannot hold this"}
