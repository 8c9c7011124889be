"""No request fails another: batches, a net or a device that fails, what is let go of."""

import gc
import json
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any, NoReturn, TypeVar

import pytest
import torch

from tests.samples import encoded, noise
from tests.served import SMALL, sent, service
from zfnet_explainer.explanation import Explanation, Pixels, Scores
from zfnet_explainer.options import Options
from zfnet_explainer.service.answer import Answer
from zfnet_explainer.service.service import Service
from zfnet_explainer.service.settings import Limits
from zfnet_explainer.service.threads import Priority
from zfnet_explainer.wire import encoded as encoded_pictures
from zfnet_explainer.wire.request import Incoming

from .asking import B64, BROKEN, PNG, explain, one, paths, predict

T = TypeVar("T")


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
    """The status is the highest, so that a client that looks at no more knows."""
    answer = one(served, predict({"body": {"instances": [{}, BROKEN]}}, kserve=True), 422)
    assert [p["error"]["code"] for p in answer["predictions"]] == ["malformed_body", "undecodable_image"]


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


@pytest.mark.parametrize("count", [1, 3])
def test_v1_with_nothing_but_instances_on_which_the_net_fails(
    served: Service, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    """It looks like the failure that it is, also beside bad pictures: whoever watches the status hears of it."""

    def broken(*_: object) -> NoReturn:
        raise RuntimeError("secret")

    monkeypatch.setattr(served.explainer, "explain", broken)
    monkeypatch.setattr(served.explainer, "scores", broken)
    body = {"instances": [B64] * count, "parameters": {}}
    answer = one(served, explain({"body": body}, kserve=True), 500)
    assert [entry["error"]["code"] for entry in answer["explanations"]] == ["internal_error"] * count
    assert one(served, predict({"body": body}, kserve=True), 500)["error"]["code"] == "internal_error"
    with_broken = {"instances": [BROKEN, B64], "parameters": {}}
    assert "explanations" in one(served, explain({"body": with_broken}, kserve=True), 500)


@pytest.mark.parametrize("protocol", ["plain", "v1", "v2"])
def test_a_failure_while_a_request_is_read_is_told_as_its_protocol_says(
    served: Service, monkeypatch: pytest.MonkeyPatch, protocol: str
) -> None:
    def broken(*_: object) -> NoReturn:
        raise RuntimeError("secret")

    monkeypatch.setattr(encoded_pictures, "decode", broken)
    tensor = {"name": "image", "shape": [1], "datatype": "BYTES", "data": [B64["data"]["b64"]]}
    document = {"plain": PNG, "v1": {"instances": [B64]}, "v2": {"inputs": [tensor]}}[protocol]
    answer = one(served, predict({"body": document}, kserve=protocol != "plain"), 500)
    assert "secret" not in json.dumps(answer)
    assert isinstance(answer["error"], str) is (protocol == "v2")


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
    ("says", "lost"),
    [
        (None, False),
        (accelerator_error(719, "CUDA error: unspecified launch failure"), True),
        (accelerator_error(2, "CUDA error: out of memory"), False),
    ],
    ids=["sound", "failed", "full"],
)
@pytest.mark.parametrize("explained", [False, True], ids=["predict", "explain"])
@pytest.mark.parametrize(
    "error",
    [
        accelerator_error(719, "CUDA error: unspecified launch failure"),
        torch.OutOfMemoryError("CUDA"),
        RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasSgemm`"),
    ],
    ids=["CUDA's", "torch's", "cuBLAS's"],
)
def test_after_a_failure_of_ours_the_device_itself_is_asked(
    error: Exception, explained: bool, says: Exception | None, lost: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its libraries' errors do not say whether it is lost. After answers and a client's fault nothing waits for it."""
    asked: list[torch.device] = []

    def synchronise(device: torch.device) -> None:
        asked.append(device)
        if says:
            raise says

    def failing(*_: object) -> NoReturn:
        raise error

    served = service()
    send = explain if explained else predict
    bad = explain({"body": b"x"})
    served.answer([predict({"body": PNG}), bad], ["r0", "r1"])
    monkeypatch.setattr("zfnet_explainer.net.device.synchronise", synchronise)
    for name in ("scores", "explain"):
        monkeypatch.setattr(served.explainer, name, failing)
    served.answer([bad], ["r2"])
    assert not asked
    answers = served.answer([send({"body": PNG}), bad, send({"body": PNG})], ["r3", "r4", "r5"])
    assert [answer.status for answer in answers] == [500, 415, 500]
    assert asked == [served.explainer.device]
    assert served.device_lost is lost


def test_predictions_are_urgent_and_explanations_are_not(served: Service) -> None:
    asked: list[Priority] = []

    def run(work: Callable[[], T], priority: Priority) -> T:
        asked.append(priority)
        return work()

    noting = Service(served.explainer, "zfnet", "1.0.0", Limits(), run=run)
    rows = [predict({"body": PNG}), explain({"data": PNG, "methods": "deconv", "features": "1"})]
    assert [answer.status for answer in noting.answer(rows, ["a", "b"])] == [200, 200]
    assert asked == [Priority.URGENT, Priority.LOW]


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
