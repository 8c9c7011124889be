"""Whole requests: the answers' exact keys and formats."""

import base64
import io
import json
from dataclasses import replace
from http import HTTPStatus
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.served import SMALL, sent, service
from zfnet_explainer.pictures.decode import decode
from zfnet_explainer.pictures.drawing.figure import figure_png
from zfnet_explainer.service.answer import Answer
from zfnet_explainer.service.service import Service
from zfnet_explainer.service.settings import Limits
from zfnet_explainer.wire.arrays import arrays
from zfnet_explainer.wire.options import explain_options
from zfnet_explainer.wire.request import Incoming

from .asking import B64, PNG, explain, one, paths, predict

BYTES = {"name": "image", "shape": [1], "datatype": "BYTES", "data": [B64["data"]["b64"]]}


def raw(served: Service, incoming: Incoming) -> Answer:
    [answer] = served.answer([incoming], ["request-1"])
    assert answer.status == HTTPStatus.OK, answer.body[:300]
    return answer


def test_a_predictions_numbers_agree_with_each_other(served: Service) -> None:
    answer = one(served, predict({"body": PNG}))
    assert answer["request_id"] == "request-1"
    assert [p["rank"] for p in answer["predictions"]] == [1, 2, 3]
    assert sum(p["probability"] for p in answer["predictions"]) == pytest.approx(1, abs=1e-6)


def test_an_explanations_numbers_agree_with_each_other(whole: Any) -> None:
    assert whole["image"]["crop"] == {"top": 0, "left": 35, "height": 230, "width": 230}
    assert (whole["image"]["width"], whole["image"]["height"]) == (300, 230)
    assert len(whole["predictions"]) == 2
    assert "crosscheck" not in whole
    assert {**whole["target"], "rank": 1} == whole["predictions"][0]
    assert [layer["layer"] for layer in whole["deconv"]["layers"]] == [1, 5]
    assert [layer["size"] for layer in whole["deconv"]["layers"]] == [[110, 110], [13, 13]]
    occlusion = whole["occlusion"]
    assert (occlusion["tops"], occlusion["lefts"]) == ([0, 112], [0, 112])
    assert occlusion["feature"]["feature"] == whole["deconv"]["layers"][1]["features"][0]["feature"]
    assert occlusion["unoccluded"] == whole["target"]["probability"]
    probabilities = np.array(occlusion["target_probability"])
    worst = occlusion["summary"]["worst"]
    assert probabilities.argmin() == 2 * (worst["top"] // 112) + worst["left"] // 112
    assert worst["probability"] == pytest.approx(probabilities.min(), abs=1e-7)
    assert worst["drop"] == pytest.approx(occlusion["unoccluded"] - worst["probability"])
    assert sum(c["positions"] for c in occlusion["classes"]) == 4


def test_an_explanations_pictures_are_pngs(whole: Any) -> None:
    for layer in whole["deconv"]["layers"]:
        for feature in layer["features"]:
            box = feature["receptive_field"]
            for name in ("projection", "patch"):
                size = Image.open(io.BytesIO(base64.b64decode(feature[name]))).size
                assert size == (box["right"] - box["left"], box["bottom"] - box["top"])
    for picture in whole["occlusion"]["images"].values():
        assert Image.open(io.BytesIO(base64.b64decode(picture))).size == (224, 224)


def is_picture(path: tuple[str, ...]) -> bool:
    return path[-1] in ("projection", "patch") or path[:2] == ("occlusion", "images")


def test_without_images(served: Service, whole: Any) -> None:
    answer = one(served, explain({"data": PNG, "images": "false", "layer": "1,5", **SMALL}))
    assert paths(answer) == {path for path in paths(whole) if not is_picture(path)}


@pytest.mark.parametrize(("methods", "left_out"), [("deconv", "occlusion"), ("occlusion", "deconv")])
def test_a_method_that_was_not_asked_for_is_not_there(served: Service, whole: Any, methods: str, left_out: str) -> None:
    small = {"window": "112", "stride": "112"} if methods == "occlusion" else {"features": "2"}
    answer = one(served, explain({"data": PNG, "methods": methods, **small}))
    assert paths(answer) == {path for path in paths(whole) if left_out not in path}


def test_npz(served: Service, whole: Any) -> None:
    answer = raw(served, explain({"data": PNG, "layer": "1,5", "format": "npz", **SMALL}))
    assert answer.content_type == "application/x-npz"
    loaded = np.load(io.BytesIO(answer.body), allow_pickle=False)
    arrays = {name: loaded[name] for name in loaded.files}
    wanted: dict[str, tuple[str, tuple[int, ...]]] = {
        "probabilities": ("float32", (3,)),
        "target.class_index": ("int64", ()),
        "target.probability": ("float32", ()),
        "image.pixels": ("int64", (224, 224, 3)),
        "image.width": ("int64", ()),
        "image.height": ("int64", ()),
        **{f"image.crop.{side}": ("int64", ()) for side in ("top", "left", "height", "width")},
        "occlusion.window": ("int64", ()),
        "occlusion.stride": ("int64", ()),
        "occlusion.feature.layer": ("int64", ()),
        "occlusion.feature.feature": ("int64", ()),
        "occlusion.feature.unoccluded": ("float32", ()),
        "occlusion.tops": ("int64", (2,)),
        "occlusion.lefts": ("int64", (2,)),
        "occlusion.feature_activity": ("float32", (2, 2)),
        "occlusion.logits": ("float32", (2, 2, 3)),
        "occlusion.temperature": ("float32", ()),
        "occlusion.target_probability": ("float32", (2, 2)),
        "occlusion.unoccluded": ("float32", ()),
        "occlusion.most_probable_class": ("int64", (2, 2)),
    }
    for layer in whole["deconv"]["layers"]:
        for feature in layer["features"]:
            key = f"deconv.{layer['layer']}.{feature['feature']}"
            wanted |= {
                f"{key}.rank": ("int64", ()),
                f"{key}.projection": ("float32", (224, 224, 3)),
                f"{key}.activation": ("float32", ()),
                f"{key}.position": ("int64", (2,)),
                f"{key}.receptive_field": ("int64", (4,)),
            }
    assert {name: (a.dtype.name, a.shape) for name, a in arrays.items()} == wanted
    for name in [name for name, (_, shape) in wanted.items() if not shape and not name.startswith("deconv")]:
        field = whole
        for part in name.split("."):
            field = field[part]
        assert arrays[name] == pytest.approx(field), f"{name} is what JSON has there"
    assert arrays["occlusion.target_probability"].tolist() == pytest.approx(
        np.array(whole["occlusion"]["target_probability"]), abs=1e-6
    )


def test_the_npz_of_a_map_that_is_not_exact_says_how_far_it_may_be_off(served: Service) -> None:
    options, _ = explain_options(SMALL, "", served.rules, "plain")
    picture = decode(PNG, 224)
    found = served.explainer.explain(picture.pixels, options)
    assert found.occlusion is not None
    assert "occlusion.max_deviation" not in arrays(picture, found)
    reduced = replace(found.occlusion, precision="bfloat16", max_deviation=0.25)
    assert arrays(picture, replace(found, occlusion=reduced))["occlusion.max_deviation"] == 0.25


def test_a_crosscheck_is_in_the_npz_and_in_the_figure(served: Service) -> None:
    options, _ = explain_options({**SMALL, "features": "1", "crosscheck": "captum"}, "", served.rules, "plain")
    picture = decode(PNG, 224)
    found = served.explainer.explain(picture.pixels, options)
    checked = {name: value for name, value in arrays(picture, found).items() if name.startswith("crosscheck.")}
    assert sorted(checked) == [f"crosscheck.{method}.max_relative_difference" for method in ("deconv", "occlusion")]
    assert all(value.dtype == np.float32 and 0 <= value < 1e-4 for value in checked.values())
    record = served.explainer.record
    assert figure_png(found, record) != figure_png(replace(found, crosscheck=None), record)


def test_png_by_the_accept_header(served: Service) -> None:
    answer = raw(served, explain({"data": PNG, **SMALL, "others": "0"}, Accept="image/png"))
    assert answer.content_type == "image/png"
    Image.open(io.BytesIO(answer.body)).verify()


def test_v2_answers_the_outputs_that_were_asked_for(served: Service) -> None:
    tensor = {"name": "image", "datatype": "BYTES", "shape": [2], "data": [B64["data"]["b64"]] * 2}
    body = {"id": "x", "inputs": [tensor], "outputs": [{"name": "probabilities"}]}
    answer = one(served, predict({"body": body}, kserve=True))
    assert (answer["id"], answer["model_name"], answer["model_version"]) == ("x", "zfnet", "1.0.0")
    [output] = answer["outputs"]
    assert (output["name"], output["shape"], output["datatype"]) == ("probabilities", [2, 3], "FP32")
    one(served, predict({"body": body | {"outputs": [{"name": "none"}]}}, kserve=True), 400)


def test_a_figure_is_not_for_kserve(served: Service) -> None:
    body = {"instances": [B64], "parameters": {"format": "png"}}
    error = one(served, explain({"body": body}, kserve=True), 400)["error"]
    assert (error["code"], error["option"]) == ("invalid_option", "format")


def test_an_answer_over_the_limit_says_what_to_leave_out() -> None:
    limited = service(limits=Limits(max_response_bytes=2_000))
    assert one(limited, predict({"body": PNG}))["request_id"] == "request-1"
    error = one(limited, explain({"data": PNG, "methods": "deconv", "features": "2"}), 400)["error"]
    assert error["code"] == "too_much_work"
    assert error["message"].endswith(
        "more than this server's 2,000: ask for fewer `features`, `layer`s or `others`, a smaller `top_k`, or "
        "`images`=false"
    )


@pytest.mark.parametrize(
    ("pictures", "advice"), [(1, "ask for a smaller `top_k`"), (2, "ask for fewer pictures or a smaller `top_k`")]
)
def test_fewer_pictures_are_asked_for_where_there_are_several(pictures: int, advice: str) -> None:
    limited = service(limits=Limits(max_response_bytes=100))
    error = one(limited, predict({"body": {"instances": [B64] * pictures}}, kserve=True), 400)["error"]
    assert error["message"].endswith(advice)


OCCLUSION = {"methods": "occlusion", "window": 224}


@pytest.mark.parametrize(
    ("incoming", "advice"),
    [
        (
            explain({"data": PNG, "methods": "deconv", "features": "2", "format": "npz"}),
            "fewer `features` or `layer`s",
        ),
        (
            sent({"body": json.dumps({"inputs": [BYTES], "parameters": OCCLUSION}).encode()}, True, True),
            "fewer `features` or `layer`s, a larger `stride`, or only the `outputs` you need",
        ),
    ],
    ids=["npz", "v2"],
)
def test_what_to_leave_out_helps_in_the_answers_shape(incoming: Incoming, advice: str) -> None:
    """A picture of noise is more in JSON than the least that its bound assumes."""
    error = one(service(limits=Limits(max_response_bytes=350_000)), incoming, 400)["error"]
    message = error if incoming.kserve else error["message"]
    assert message.endswith(f"more than this server's 350,000: ask for {advice}")


def test_a_form_on_a_kserve_route_is_refused(served: Service) -> None:
    error = one(served, sent({"data": PNG, "format": "npz"}, True, kserve=True), 400)["error"]
    assert error["code"] == "malformed_body"
    assert error["message"].endswith("with the header `Content-Type: application/json`")


def test_the_configurations_limits_of_squares_hold() -> None:
    limited = service(limits=Limits(max_squares=3, max_squares_crosscheck=2))
    for crosscheck, limit in (("none", 3), ("captum", 2)):
        fields = {"data": PNG, "window": "112", "stride": "112", "crosscheck": crosscheck}
        error = one(limited, explain(fields), 400)["error"]
        with_crosscheck = " with `crosscheck`" if crosscheck == "captum" else ""
        assert error["message"].startswith(f"4 squares are more than this server's limit of {limit}{with_crosscheck}; ")
