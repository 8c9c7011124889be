"""A real TorchServe that has no worker any more, or gives it nothing: `serve` ends, and says why."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Timer

import httpx
import pytest

from zfnet_explainer.serving import attend
from zfnet_explainer.serving.activity import Activity
from zfnet_explainer.serving.errors import ServingError
from zfnet_explainer.serving.server import RunningServer, running_server

from .archives import one_worker, tiny_archive

# Answers one request and counts it; the next never comes to be in its hands, for all that it tells.
ANSWERS_ONE = b"""
from time import sleep

from ts.metrics.metric_type_enum import MetricTypes

class AnswersOne:
    def initialize(self, context):
        self.counted = context.metrics.get_metric("zfnet_requests_total", MetricTypes.COUNTER)
        self.answered = 0

    def handle(self, rows, context):
        while self.answered:
            sleep(1)
        self.answered = 1
        self.counted.add_or_update(1, ["predict", "plain", "none", "200"])
        return ["ok"] * len(rows)
"""


@pytest.fixture
def gone(tmp_path: Path) -> Path:
    """No worker starts where this file is."""
    return tmp_path / "gone"


@pytest.fixture
def server(tmp_path: Path, gone: Path) -> Iterator[RunningServer]:
    """Every request ends its worker."""
    initialize = f"import pathlib; assert not pathlib.Path({str(gone)!r}).exists(), 'the weights are gone'"
    archive = tiny_archive(tmp_path / "tiny.mar", initialize, handle="import os; os._exit(1)")
    with running_server(archive, tmp_path / "run") as running:
        yield running


def attended(server: RunningServer) -> None:
    """Attend for a minute at most."""
    enough = Timer(60, server.folder.leaving.touch)
    enough.start()
    try:
        attend.attend(server, settle_seconds=0, drain_seconds=30, report=lambda _: None)
    finally:
        enough.cancel()


def test_a_worker_that_does_not_come_back_ends_the_server(
    server: RunningServer, gone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attend, "ASK_S", 0.2)
    monkeypatch.setattr(attend, "UNWELL_S", 1)
    gone.touch()
    url = f"{server.inference_url}/predictions/zfnet"
    assert httpx.post(url, content=b"x", timeout=60, trust_env=False).status_code == 500
    while "the weights are gone" not in (server.folder.logs / "model_log.log").read_text():
        time.sleep(0.05)
    with pytest.raises(ServingError, match=r"^for 1 s no worker is READY: \w+: AssertionError: the weights are gone"):
        attended(server)


def test_no_worker_is_told_without_a_cause_where_none_was_lost(
    server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attend, "ASK_S", 0.2)
    monkeypatch.setattr(attend, "UNWELL_S", 1)
    scaled = f"{server.management_url}/models/zfnet?min_worker=0&synchronous=true"
    assert httpx.put(scaled, timeout=60, trust_env=False).is_success
    with pytest.raises(ServingError, match=r"^for 1 s no worker is READY: there is none \(logs: "):
        attended(server)


def test_requests_that_no_worker_is_given_end_the_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attend, "ASK_S", 0.2)
    monkeypatch.setattr(attend, "UNWELL_S", 1)
    archive = one_worker(tmp_path / "one.mar", ANSWERS_ONE)
    with running_server(archive, tmp_path / "run") as server, ThreadPoolExecutor(2) as threads:
        url = f"{server.inference_url}/predictions/zfnet"
        assert httpx.post(url, content=b"x", timeout=60, trust_env=False).text == "ok"
        lost = [threads.submit(httpx.post, url, content=b"x", timeout=60, trust_env=False) for _ in range(2)]
        with pytest.raises(ServingError, match=r"^for 1 s 1 requests wait and no worker is given one \(logs: "):
            attended(server)
        server.stop()
        assert all(isinstance(one.exception(), httpx.TransportError) for one in lost)


@pytest.mark.parametrize(
    ("now", "stalled"),
    [
        (Activity(2, 0, 9, 5), True),
        (Activity(2, 1, 9, 5), False),
        (Activity(0, 0, 9, 5), False),
        (Activity(2, 0, 9, 6), False),
    ],
    ids=["as before", "one is in hand", "none waits", "one was answered"],
)
def test_stalled(now: Activity, stalled: bool) -> None:
    assert now.stalled_since(Activity(1, 0, 6, 5)) is stalled
    assert not now.stalled_since(Activity(0, 0, 6, 5)), "they have come since"
    assert not Activity(2, 0, 9, 0).stalled_since(Activity(1, 0, 6, 0)), "a handler that does not count"
