"""Whole requests: the answers' exact keys, formats, limits, and no request that fails another."""

import base64
import gc
import io
import json
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from http import HTTPStatus
from typing import Any, TypeVar

import numpy as np
import pytest
import torch
from PIL import Image

from tests.samples import encoded, noise
from tests.served import SMALL, sent, service
from zfnet_explainer.explanation import Explanation, Pixels, Scores
from zfnet_explainer.options import Options
from zfnet_explainer.pictures.decode import decode
from zfnet_explainer.pictures.drawing.figure import panel
from zfnet_explainer.service.answer import Answer
from zfnet_explainer.service.observation import Observation
from zfnet_explainer.service.service import Service
from zfnet_explainer.service.settings import Limits
from zfnet_explainer.service.threads import Priority
from zfnet_explainer.wire.arrays import arrays
from zfnet_explainer.wire.options import explain_options
from zfnet_explainer.wire.request import Incoming

PNG = encoded(noise(230, 300))
B64 = {"data": {"b64": base64.b64encode(PNG).decode()}}
BYTES = {"name": "image", "shape": [1], "datatype": "BYTES", "data": [B64["data"]["b64"]]}
BROKEN = {"data": {"b64": base64.b64encode(PNG[:500]).decode()}}

T = TypeVar("T")


@pytest.fixture(scope="module")
def served() -> Service:
    return service()


def explain(fields: Mapping[str, Any], kserve: bool = False, **headers: str) -> Incoming:
    return sent(fields, True, kserve, **headers)


def predict(fields: Mapping[str, Any], kserve: bool = False) -> Incoming:
    return sent(fields, False, kserve)


def one(served: Service, incoming: Incoming, status: int = 200) -> Any:
    [answer] = served.answer([incoming], ["request-1"])
    assert answer.status == status, answer.body[:300]
    assert answer.content_type == "application/json"
    return json.loads(answer.body)


def raw(served: Service, incoming: Incoming) -> Answer:
    [answer] = served.answer([incoming], ["request-1"])
    assert answer.status == HTTPStatus.OK, answer.body[:300]
    return answer


# What an answer holds


def test_a_predictions_numbers_agree_with_each_other(served: Service) -> None:
    answer = one(served, predict({"body": PNG}))
    assert answer["request_id"] == "request-1"
    assert [p["rank"] for p in answer["predictions"]] == [1, 2, 3]
    assert sum(p["probability"] for p in answer["predictions"]) == pytest.approx(1, abs=1e-6)


@pytest.fixture(scope="module")
def whole(served: Service) -> Any:
    return one(served, explain({"data": PNG, "top_k": "2", "layer": "1,5", **SMALL}))


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


def paths(value: Any, *above: str) -> set[tuple[str, ...]]:
    """The names of all fields of an answer, each with those above it."""
    if isinstance(value, dict):
        return {path for name, inner in value.items() for path in {(*above, name), *paths(inner, *above, name)}}
    return {path for inner in value for path in paths(inner, *above)} if isinstance(value, list) else set()


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
    options, _ = explain_options(SMALL, "", served.rules)
    picture = decode(PNG, 224)
    found = served.explainer.explain(picture.pixels, options)
    assert found.occlusion is not None
    assert "occlusion.max_deviation" not in arrays(picture, found)
    reduced = replace(found.occlusion, precision="bfloat16", max_deviation=0.25)
    assert arrays(picture, replace(found, occlusion=reduced))["occlusion.max_deviation"] == 0.25


def test_a_crosscheck_is_in_the_npz_and_in_the_figure(served: Service) -> None:
    options, _ = explain_options({**SMALL, "features": "1", "crosscheck": "captum"}, "", served.rules)
    picture = decode(PNG, 224)
    found = served.explainer.explain(picture.pixels, options)
    checked = {name: value for name, value in arrays(picture, found).items() if name.startswith("crosscheck.")}
    assert sorted(checked) == [f"crosscheck.{method}.max_relative_difference" for method in ("deconv", "occlusion")]
    assert all(value.dtype == np.float32 and 0 <= value < 1e-4 for value in checked.values())
    record = served.explainer.record
    assert panel(found, record) != panel(replace(found, crosscheck=None), record)


def test_png_by_the_accept_header(served: Service) -> None:
    answer = raw(served, explain({"data": PNG, **SMALL, "others": "0"}, Accept="image/png"))
    assert answer.content_type == "image/png"
    Image.open(io.BytesIO(answer.body)).verify()


# KServe


def test_v1_predictions_with_a_broken_instance_in_its_place(served: Service) -> None:
    answer = one(served, predict({"body": {"instances": [B64, BROKEN, B64], "parameters": {"top_k": 1}}}, kserve=True))
    assert list(answer) == ["predictions"]
    first, broken, last = answer["predictions"]
    assert paths(first) == paths(last)
    assert first["predictions"] == last["predictions"]
    assert broken == {
        "error": {"code": "undecodable_image", "message": broken["error"]["message"], "request_id": "request-1"}
    }


def test_v1_explanations_with_a_broken_instance_in_its_place(served: Service, whole: Any) -> None:
    body = {"instances": [BROKEN, B64], "parameters": {key: int(value) for key, value in SMALL.items()}}
    answer = one(served, explain({"body": body}, kserve=True, Accept="image/png"))
    broken, sound = answer["explanations"]
    assert paths(sound) == paths(whole)
    assert broken["error"]["code"] == "undecodable_image"


def test_v1_with_nothing_but_broken_instances(served: Service) -> None:
    """The status is the first one's, so that a client that looks at no more knows."""
    answer = one(served, predict({"body": {"instances": [BROKEN, {}]}}, kserve=True), 422)
    assert [p["error"]["code"] for p in answer["predictions"]] == ["undecodable_image", "malformed_body"]


def test_v1_with_an_instance_on_which_the_net_fails(served: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = served.explainer.explain
    calls: Iterator[bool] = iter([False, True, False])

    def sometimes(pixels: Pixels, options: Options) -> Explanation:
        if next(calls):
            raise RuntimeError("secret")
        return whole(pixels, options)

    monkeypatch.setattr(served.explainer, "explain", sometimes)
    body = {"instances": [B64] * 3, "parameters": {"methods": "deconv", "features": 1}}
    answer = one(served, explain({"body": body}, kserve=True))
    assert ["error" in entry for entry in answer["explanations"]] == [False, True, False]
    assert answer["explanations"][1]["error"]["code"] == "internal_error"
    assert "secret" not in json.dumps(answer)


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


# No request fails another

LONE_SURROGATE = json.dumps({"instances": [B64], "parameters": {"\ud800": 1}}).encode()
ROWS: list[tuple[Incoming, int, str]] = [
    (predict({"body": PNG}), 200, ""),
    (predict({"body": b""}), 400, "malformed_body"),
    (explain({"data": PNG, "methods": "deconv", "features": "1"}), 200, ""),
    (predict({"body": b"<svg/>"}), 415, "unsupported_image"),
    (predict({"body": LONE_SURROGATE}), 400, "invalid_option"),
    (predict({"data": PNG, "top_k": "4"}), 400, "invalid_option"),
    (explain({"body": PNG[:400]}), 422, "undecodable_image"),
    (predict({"data": encoded(noise(seed=7)), "top_k": "1"}), 200, ""),
    (explain({"data": PNG, "window": "3"}), 400, "too_much_work"),
    (predict({"body": bytes(20 * 2**20 + 1)}), 413, "too_large"),
    (predict({}), 400, "malformed_body"),
    (predict({"body": {"instances": [BROKEN, B64]}}, kserve=True), 200, ""),
]


def outcome(answers: Sequence[Answer]) -> list[tuple[int, str]]:
    return [(a.status.value, json.loads(a.body).get("error", {}).get("code", "")) for a in answers]


def scores(predictions: list[dict[str, Any]] | None) -> dict[int, float]:
    """Probability by class; of V1's list, of its last entry."""
    if predictions and "probability" not in predictions[-1]:
        return scores(predictions[-1]["predictions"])
    return {p["class_index"]: p["probability"] for p in predictions or []}


@pytest.mark.parametrize("order", [1, -1], ids=["forwards", "backwards"])
def test_a_batch_answers_each_row_rightly_and_in_order(served: Service, order: int) -> None:
    rows = ROWS[::order]
    answers = served.answer([row[0] for row in rows], [f"r{i}" for i in range(len(rows))])
    assert outcome(answers) == [row[1:] for row in rows]
    for i, answer in enumerate(answers):
        body = json.loads(answer.body)
        if answer.status != HTTPStatus.OK:
            assert body["error"]["request_id"] == f"r{i}"
            assert set(body) == {"error"}
            assert set(body["error"]) <= {"code", "message", "option", "request_id"}
        elif "request_id" in body:
            assert body["request_id"] == f"r{i}"
    alone = [json.loads(served.answer([row[0]], ["x"])[0].body).get("predictions") for row in rows]
    for answer, wanted in zip(answers, alone, strict=True):
        found = json.loads(answer.body).get("predictions")
        assert scores(found) == pytest.approx(scores(wanted), abs=1e-5)


def test_no_requests() -> None:
    assert service().answer([], []) == []


def test_a_pass_that_fails_once_costs_no_answer(served: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, calls = served.explainer.scores, []

    def once(pictures: Sequence[Pixels]) -> list[Scores]:
        calls.append(len(pictures))
        if len(calls) == 1:
            raise RuntimeError("secret")
        return whole(pictures)

    monkeypatch.setattr(served.explainer, "scores", once)
    answers = served.answer([predict({"body": PNG})] * 3, ["0", "1", "2"])
    assert [a.status for a in answers] == [200, 200, 200]
    assert calls == [3, 1, 1, 1]


@pytest.mark.parametrize("error", [RuntimeError("secret"), MemoryError(), ValueError("secret")], ids=repr)
def test_a_picture_on_which_the_net_fails_costs_one_answer(
    served: Service, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    whole, poison = served.explainer.scores, noise(seed=9)

    def fails_on_one(pictures: Sequence[Pixels]) -> list[Scores]:
        if any((p == poison).all() for p in pictures):
            raise error
        return whole(pictures)

    monkeypatch.setattr(served.explainer, "scores", fails_on_one)
    rows = [predict({"body": PNG}), predict({"body": encoded(poison)}), predict({"body": PNG})]
    answers = served.answer([*rows, explain({"body": b"x"})], ["r0", "r1", "r2", "r3"])
    assert outcome(answers) == [(200, ""), (500, "internal_error"), (200, ""), (415, "unsupported_image")]
    assert json.loads(answers[1].body) == {
        "error": {
            "code": "internal_error",
            "message": "the server failed on this request; its log has the cause under this request id",
            "request_id": "r1",
        }
    }
    [logged] = [record for record in caplog.records if record.getMessage() == "request r1 failed"]
    assert logged.exc_info
    assert logged.exc_info[1] is error


def accelerator_error(code: int, message: str) -> Exception:
    """As torch raises it, which sets the code in C++."""
    error = torch.AcceleratorError(message)
    error.error_code = code  # type: ignore[attr-defined]
    return error


@pytest.mark.parametrize(
    ("error", "lost"),
    [
        (accelerator_error(719, "CUDA error: unspecified launch failure"), True),
        (accelerator_error(2, "CUDA error: out of memory"), False),
        (torch.OutOfMemoryError("CUDA"), False),
    ],
    ids=["failed", "full, says CUDA", "full, says torch"],
)
@pytest.mark.parametrize("explained", [False, True], ids=["predict", "explain"])
def test_a_device_that_failed_is_told_from_one_that_is_full(
    error: Exception, lost: bool, explained: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches: list[Sequence[Observation]] = []
    served = service(lambda batch, _: batches.append(batch))

    def failing(*_: object) -> None:
        raise error

    for name in ("scores", "explain"):
        monkeypatch.setattr(served.explainer, name, failing)
    good, bad = {"body": PNG}, {"body": b"x"}
    rows = [explain(good), explain(bad)] if explained else [predict(good), predict(bad)]
    answers = served.answer(rows, ["r0", "r1"])
    assert [answer.status for answer in answers] == [500, 415]
    [batch] = batches
    assert [one.device_lost for one in batch] == [lost, False]
    assert served.device_lost == lost


def test_predictions_are_urgent_and_explanations_are_not(served: Service) -> None:
    asked: list[Priority] = []

    def run(work: Callable[[], T], priority: Priority) -> T:
        asked.append(priority)
        return work()

    noting = Service(served.explainer, "zfnet", "1.0.0", Limits(), run=run)
    rows = [predict({"body": PNG}), explain({"data": PNG, "methods": "deconv", "features": "1"})]
    assert [answer.status for answer in noting.answer(rows, ["a", "b"])] == [200, 200]
    assert asked == [Priority.URGENT, Priority.LOW]


def test_an_answer_over_the_limit_says_what_to_leave_out() -> None:
    limited = service(limits=Limits(max_response_bytes=2_000))
    assert one(limited, predict({"body": PNG}))["request_id"] == "request-1"
    error = one(limited, explain({"data": PNG, "methods": "deconv", "features": "2"}), 400)["error"]
    assert error["code"] == "too_much_work"
    assert error["message"].endswith(
        "more than this server's 2,000: ask for fewer `features`, `layer`s or `others`, a smaller `top_k`, or "
        "`images`=false"
    )


OCCLUSION = {"methods": "occlusion", "window": 224}


@pytest.mark.parametrize(
    ("incoming", "advice"),
    [
        (
            explain({"data": PNG, "methods": "deconv", "features": "2", "format": "npz"}),
            "`features` or `layer`s",
        ),
        (
            sent({"body": json.dumps({"inputs": [BYTES], "parameters": OCCLUSION}).encode()}, True, True),
            "pictures, `features` or `layer`s, a larger `stride`, or name the `outputs` you need",
        ),
    ],
    ids=["npz", "v2"],
)
def test_what_to_leave_out_helps_in_the_answers_shape(incoming: Incoming, advice: str) -> None:
    """A picture of noise is more in JSON than the least that its bound assumes."""
    error = one(service(limits=Limits(max_response_bytes=350_000)), incoming, 400)["error"]
    message = error if incoming.kserve else error["message"]
    assert message.endswith(f"more than this server's 350,000: ask for fewer {advice}")


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


class Instances(list[object]):
    """The one list that a request's document holds, which can be referred to weakly."""


@pytest.mark.parametrize(
    ("fields", "explain", "kserve"),
    [
        ({"body": b"no picture"}, False, False),
        ({"body": PNG[: len(PNG) // 2]}, True, False),
        ({"body": b'{"instances": ['}, False, True),
        ({"body": json.dumps({"instances": [BROKEN, B64, {}]}).encode()}, False, True),
        ({"data": PNG, "stride": "0"}, True, False),
        ({"data": PNG, "window": "8", "stride": "1"}, True, False),
    ],
    ids=["no picture", "half a picture", "no JSON", "bad instances", "bad option", "too much work"],
)
def test_a_refused_request_is_let_go_at_once(
    served: Service, fields: dict[str, Any], explain: bool, kserve: bool
) -> None:
    """No cycle is left to hold its body until Python looks for cycles."""
    with uncollected():
        incoming = sent(fields, explain, kserve)
        held = weakref.ref(incoming)
        served.answer([incoming], ["id"])
        del incoming
        assert held() is None


def test_a_refused_instance_is_let_go_at_once(served: Service) -> None:
    with uncollected():
        instances = Instances([BROKEN, {}])
        held = weakref.ref(instances)
        served.answer([sent({"body": {"instances": instances}}, explain=False, kserve=True)], ["id"])
        del instances
        assert held() is None


@contextmanager
def uncollected() -> Iterator[None]:
    """Nothing in a cycle is freed within."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
