"""The door, through TorchServe's own Context and Service."""

import base64
import io
import json
import os
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import ts
from PIL import Image
from ts.service import Service

from zfnet_explainer.explainer import Explainer
from zfnet_explainer.net.checkpoint import Checkpoint
from zfnet_explainer.service.settings import Limits
from zfnet_explainer.service.threads import Priority
from zfnet_handler import LAST_ANSWERS_S, choose_device, retrieve_data, take_fields_sent_twice

from .chains import small
from .door import Rows, ask, worker
from .explained import record
from .pictures.drawing.figures import FIGURE, kept, texts
from .samples import MODEL_STORE, encoded, noise

CHEAP = {"window": "112", "stride": "112", "features": "2"}


@pytest.fixture(scope="module")
def service() -> Service:
    return worker(MODEL_STORE)


def scores(answer: dict[str, Any]) -> dict[int, float]:
    """Probability by class index of an answer's predictions."""
    return {p["class_index"]: p["probability"] for p in answer["predictions"]}


def test_batch_of_eight_mixes_predictions_explanations_and_broken_requests(service: Service) -> None:
    picture, other = bytearray(encoded(noise())), bytearray(encoded(noise(seed=1)))
    rows: Rows = [
        {"fields": {"body": picture}, "explain": False},
        {"fields": {"data": picture, **CHEAP}, "explain": True},
        {"fields": {"body": bytearray(b"<svg/>")}, "explain": False},
        {"fields": {"data": other, "top_k": bytearray(b"3")}, "explain": False},
        {"fields": {"data": picture, "stride": bytearray(b"0")}, "explain": True},
        {"fields": {"data": other, **CHEAP, "format": bytearray(b"npz")}, "explain": True},
        {"fields": {"body": picture[: len(picture) // 2]}, "explain": True},
        {"fields": {"data": picture, **CHEAP, "methods": bytearray(b"deconv")}, "explain": True},
    ]
    answers, context = ask(service, rows)
    statuses = [context.get_response_status(i)[0] for i in range(8)]
    assert statuses == [200, 200, 415, 200, 400, 200, 422, 400]
    types = [context.get_response_content_type(i) for i in range(8)]
    assert types == ["application/json"] * 5 + ["application/x-npz"] + ["application/json"] * 2
    found = [json.loads(answer) for i, answer in enumerate(answers) if i != 5]
    assert [one.get("request_id", one.get("error", {}).get("request_id")) for one in found] == [
        f"request-{i}" for i in range(8) if i != 5
    ]
    assert len(found[0]["predictions"]) == 5
    assert len(found[3]["predictions"]) == 3
    assert scores(found[1]) == pytest.approx(scores(found[0]), abs=1e-5)
    assert found[1]["occlusion"]["rows"] == 2
    arrays = np.load(io.BytesIO(answers[5]), allow_pickle=False)
    assert arrays["occlusion.target_probability"].shape == (2, 2)
    assert found[4]["error"]["option"] == "stride"
    assert found[6]["error"]["option"] == "window"


def test_a_worker_tells_what_it_has_in_hand_and_that_it_has_nothing_any_more(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    handler = service._entry_point.__self__
    told: list[float] = []
    gauge = handler.metrics["zfnet_requests_in_progress"]
    monkeypatch.setattr(gauge, "add_or_update", lambda value, _: told.append(value))
    rows: Rows = [{"fields": {"body": bytearray(encoded(noise(seed=s)))}, "explain": False} for s in range(2)]
    answer = handler.service.answer

    def noted(*arguments: Any) -> Any:
        assert told == [2]
        return answer(*arguments)

    monkeypatch.setattr(handler.service, "answer", noted)
    ask(service, rows)
    assert told == [2, 0]

    def failing(*_: Any) -> Any:
        raise ZeroDivisionError

    monkeypatch.setattr(handler.service, "answer", failing)
    with pytest.raises(ZeroDivisionError):
        ask(service, rows)
    assert told == [2, 0, 2, 0]


def test_a_worker_tells_its_memory_after_every_batch(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    handler = service._entry_point.__self__
    told: list[float] = []
    gauge = handler.metrics["zfnet_worker_resident_memory_bytes"]
    monkeypatch.setattr(gauge, "add_or_update", lambda value, _: told.append(value))
    rows: Rows = [{"fields": {"body": bytearray(b"<svg/>")}, "explain": False}]
    for batches in (1, 2):
        ask(service, rows)
        assert len(told) == batches
    assert min(told) > 100 * 2**20


def test_a_lost_gpu_is_not_asked_for_its_memory(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would raise, and the batch be logged as one that was not counted."""
    handler = service._entry_point.__self__
    asked: list[Any] = []
    ended: list[Any] = []

    def samples(*of: object) -> list[Any]:
        asked.append(of)
        return []

    monkeypatch.setattr("zfnet_handler.memory_samples", samples)
    monkeypatch.setattr("zfnet_handler.Timer", lambda *what: SimpleNamespace(start=lambda: ended.append(what)))
    handler.count([], 0.0)
    assert (len(asked), ended) == (1, [])
    monkeypatch.setattr(handler.service, "device_lost", True)
    handler.count([], 0.0)
    assert (len(asked), ended) == (1, [(LAST_ANSWERS_S, os._exit, [1])])


def test_what_waits_when_a_gpu_is_lost_is_left_to_the_next_worker(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The batch after it outlasts this process, which could only fail it and all behind it."""
    handler = service._entry_point.__self__
    waited: list[float] = []
    rows: Rows = [{"fields": {"body": bytearray(b"<svg/>")}, "explain": False}]
    monkeypatch.setattr("zfnet_handler.time", SimpleNamespace(sleep=waited.append))
    monkeypatch.setattr("zfnet_handler.Timer", lambda *_: SimpleNamespace(start=lambda: None))
    ask(service, rows)
    assert waited == []
    monkeypatch.setattr(handler.service, "device_lost", True)
    ask(service, rows)
    [seconds] = waited
    assert seconds > LAST_ANSWERS_S


def test_the_page_offers_the_samples_of_the_model_folder(service: Service) -> None:
    rows: Rows = [{"fields": {"body": bytearray()}, "explain": True, "headers": {"Accept": "text/html"}}]
    answers, _ = ask(service, rows)
    for path in (MODEL_STORE / "samples").iterdir():
        assert base64.b64encode(path.read_bytes()) in answers[0], path.name


def test_the_shipped_atlas_shows_a_map_in_other_pictures(service: Service) -> None:
    fields = {"data": bytearray(encoded(noise())), "methods": "deconv", "features": "1", "others": "3"}
    answers, _ = ask(service, [{"fields": fields, "explain": True}])
    [feature] = json.loads(answers[0])["deconv"]["layers"][0]["features"]
    activations = [other["activation"] for other in feature["others"]]
    assert activations == sorted(activations, reverse=True)
    for other in feature["others"]:
        assert other["source"].startswith("val/n")
        assert Image.open(io.BytesIO(base64.b64decode(other["projection"]))).width <= 96
    assert len(activations) == 3


def test_a_kserve_route_is_known_by_its_missing_path(service: Service) -> None:
    instance = {"data": {"b64": base64.b64encode(encoded(noise())).decode()}}
    body = bytearray(json.dumps({"instances": [instance, {"data": {"b64": "!"}}]}).encode())
    answers, context = ask(service, [{"fields": {"body": body}, "explain": False, "headers": {"url_path": None}}])
    assert context.get_response_status(0)[0] == 200
    first, second = json.loads(answers[0])["predictions"]
    assert first["predictions"][0]["rank"] == 1
    assert second["error"]["code"] == "malformed_body"


def test_a_field_that_was_sent_several_times_is_a_list_of_its_values() -> None:
    sent = [
        ("data", b"a"),
        ("window", b"32"),
        ("window", b"33"),
        ("window", b"32"),
        ("explain", b"x"),
        ("explain", b"y"),
    ]
    parameters = [{"name": name, "value": value, "contentType": ""} for name, value in sent]
    headers = [{"name": b"explain", "value": b"False"}]
    found, rows, ids = retrieve_data([{"requestId": b"7", "parameters": parameters, "headers": headers}])
    assert rows == [{"data": b"a", "window": [b"32", b"33", b"32"], "explain": [b"x", b"y"]}]
    assert found[0].get_request_property("explain") == "False", "a part of a form is no header"
    assert ids == {0: "7"}


def test_a_form_of_countless_fields_is_gone_through_once() -> None:
    """Gone through for each field, it would take the worker an hour."""
    names = [f"f{i}" for i in range(100_000)] * 2
    parameters = [{"name": name, "value": b"", "contentType": ""} for name in names]
    _, [row], _ = retrieve_data([{"requestId": b"7", "parameters": parameters, "headers": []}])
    assert row == {name: [b"", b""] for name in names}


def test_figure_seven_comes_as_a_picture(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    pages = kept(monkeypatch)
    fields = {"data": bytearray(encoded(noise())), **CHEAP}
    answers, context = ask(service, [{"fields": fields, "explain": True, "headers": {"Accept": "image/png"}}])
    assert context.get_response_content_type(0) == "image/png"
    assert answers == [FIGURE]
    [page] = pages
    assert "(e) Most probable class" in texts(page)


def test_a_batch_survives_a_pass_that_fails(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    handler = service._entry_point.__self__
    real = handler.service.explainer.scores

    def only_alone(pictures: list[Any]) -> Any:
        if len(pictures) > 1:
            raise RuntimeError("out of memory")
        return real(pictures)

    monkeypatch.setattr(handler.service.explainer, "scores", only_alone)
    rows: Rows = [{"fields": {"body": bytearray(encoded(noise(seed=s)))}, "explain": False} for s in range(3)]
    answers, context = ask(service, rows)
    assert [context.get_response_status(i)[0] for i in range(3)] == [200, 200, 200]
    assert len({json.loads(a)["predictions"][0]["probability"] for a in answers}) == 3


@pytest.mark.parametrize(
    ("wanted", "gpu_id"), [("auto", None), ("cpu", None), ("cpu", 0)], ids=["auto", "cpu", "cpu-despite-gpu"]
)
def test_the_cpu_is_used_where_it_is_wanted_or_alone(wanted: str, gpu_id: int | None) -> None:
    assert choose_device(wanted, gpu_id) == torch.device("cpu")


def test_on_the_cpu_explanations_give_way(service: Service) -> None:
    """A thread has one niceness, so that work of each priority has a thread of its own."""
    run = service._entry_point.__self__.service.run
    threads = [run(threading.current_thread, priority) for priority in (Priority.LOW, Priority.URGENT)]
    assert threads[0] is not threads[1]


def test_settings_reach_what_they_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    warmed: list[tuple[int, int]] = []

    def noted(_: Explainer) -> None:
        warmed.append((threading.get_ident(), torch.get_num_threads()))

    monkeypatch.setattr(Explainer, "warm_up", noted)
    monkeypatch.setattr("zfnet_handler.load", lambda _: Checkpoint(small(), record(5, 32)))
    limits = {"max_squares": 9, "max_squares_crosscheck": 4, "max_response_bytes": 2000}
    others = {"threads": 3, "occlusion_memory_mib": 5, "allowed_origin": "https://d.example"}
    found = worker(tmp_path, limits | others)._entry_point.__self__.service
    assert found.limits == Limits(**limits)
    assert (found.rules.max_squares, found.rules.max_squares_crosscheck) == (9, 4)
    assert found.explainer._occluders.memory == 5 * 2**20
    assert found.allowed_origin == "https://d.example"
    assert warmed == [(found.run(threading.get_ident, Priority.URGENT), 3)], "the thread that will compute"


def test_on_a_gpu_nothing_gives_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """Told before anything is loaded onto it."""
    asked: list[bool] = []

    class Begun(Exception):
        pass

    def begun(_: int, gives_way: bool) -> None:
        asked.append(gives_way)
        raise Begun

    monkeypatch.setattr("zfnet_handler.choose_device", lambda *_: torch.device("cuda", 0))
    monkeypatch.setattr("zfnet_handler.OneThread", begun)
    with pytest.raises(Begun):
        worker(MODEL_STORE)
    assert asked == [False]


@pytest.mark.parametrize("wanted", ["auto", "cuda"])
@pytest.mark.parametrize("gpu_id", range(4))
def test_each_worker_takes_the_gpu_it_was_given(wanted: str, gpu_id: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose_device(wanted, gpu_id) == torch.device("cuda", gpu_id)


@pytest.mark.parametrize(
    ("wanted", "gpu_id", "cause"),
    [("cuda", None, "assigned no GPU"), ("auto", 0, "cannot use it: .* --device cpu serves without it")],
)
def test_a_gpu_that_is_not_there_is_an_error(
    wanted: str, gpu_id: int | None, cause: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(RuntimeError, match=cause):
        choose_device(wanted, gpu_id)


def test_another_torchserve_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its worker may read a batch in another way."""
    monkeypatch.setattr(ts, "__version__", "0.13.0")
    with pytest.raises(RuntimeError, match=r"made for TorchServe 0\.12\.x, not 0\.13\.0"):
        take_fields_sent_twice()
