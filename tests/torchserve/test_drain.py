"""A real TorchServe that has no worker any more, or gives it nothing: `serve` ends, and says why."""

import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Timer

import httpx
import pytest

from zfnet_explainer.torchserve import drain
from zfnet_explainer.torchserve.activity import activity
from zfnet_explainer.torchserve.errors import ServingError
from zfnet_explainer.torchserve.server import RunningServer, running_server

from ..waiting import PATIENCE_S, wait_for
from .archives import one_worker
from .running import ask

pytestmark = pytest.mark.slow

# Answers one request and counts it. The next never comes to be in its hands, for all that it tells, and is answered
# when `go` is there. A request may end the worker; where `gone` is no other starts.
ANSWERS_ONE = """
import os
from pathlib import Path
from time import sleep

from ts.metrics.metric_type_enum import MetricTypes

FOLDER = Path({folder!r})

class AnswersOne:
    def initialize(self, context):
        assert not (FOLDER / "gone").exists(), "the weights are gone"
        self.counted = context.metrics.get_metric("zfnet_requests_total", MetricTypes.COUNTER)
        self.answered = 0

    def handle(self, rows, context):
        if rows[0]["body"] == b"die":
            os._exit(1)
        while self.answered and not (FOLDER / "go").exists():
            sleep(0.01)
        self.answered = 1
        self.counted.add_or_update(1, ["predict", "plain", "none", "200"])
        return ["ok"] * len(rows)
"""


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drain, "ASK_S", 0.2)
    monkeypatch.setattr(drain, "UNWELL_S", 1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("unwell")


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[RunningServer]:
    """One for all tests here, the last of which it does not survive."""
    archive = one_worker(folder / "one.mar", ANSWERS_ONE.format(folder=str(folder)).encode())
    with running_server(archive, folder / "run") as running:
        yield running


def asked(server: RunningServer, body: bytes) -> httpx.Response:
    url = f"{server.inference_url}/predictions/zfnet"
    return httpx.post(url, content=body, timeout=PATIENCE_S, trust_env=False)


def scale(server: RunningServer, workers: int) -> None:
    options = {"min_worker": workers, "max_worker": workers, "synchronous": True}
    url = f"{server.management_url}/models/zfnet"
    httpx.put(url, params=options, timeout=PATIENCE_S, trust_env=False).raise_for_status()


def lose_a_worker(server: RunningServer, folder: Path) -> None:
    """One dies under a request, and has been tried again: it does not start while `gone` is there."""
    log = server.folder.logs / "model_log.log"
    before = log.read_text().count("the weights are gone")
    (folder / "gone").touch()
    assert asked(server, b"die").status_code == 500
    wait_for(lambda: log.read_text().count("the weights are gone") > before, "no worker is tried again")


def attended(server: RunningServer, report: Callable[[str], None] = lambda _: None) -> None:
    """Attend for a minute at most."""
    enough = Timer(60, server.folder.leaving.touch)
    enough.start()
    try:
        drain.drain(server, settle_seconds=0, drain_seconds=30, report=report)
    finally:
        enough.cancel()


def test_no_worker_is_told_without_a_cause_where_none_was_lost(server: RunningServer) -> None:
    scale(server, 0)
    assert httpx.get(f"{server.inference_url}/ping", timeout=PATIENCE_S, trust_env=False).status_code == 200
    assert ask(server.folder.root, "alive") == (1, "not alive: no worker is READY: there is none\n")
    with pytest.raises(ServingError, match=r"^for 1 s no worker is READY: there is none \(logs: "):
        attended(server)
    scale(server, 1)
    assert ask(server.folder.root, "alive") == (0, "")


def test_requests_that_no_worker_is_given_end_the_server(server: RunningServer, folder: Path) -> None:
    assert asked(server, b"x").text == "ok"
    with ThreadPoolExecutor(2) as threads:
        answers = [threads.submit(asked, server, b"x") for _ in range(2)]
        try:
            with pytest.raises(ServingError, match=r"^for 1 s 1 requests wait and no worker is given one \(logs: "):
                attended(server)
        finally:
            (folder / "go").touch()
        assert [answer.result().text for answer in answers] == ["ok", "ok"], "where the server has not ended"


def test_one_of_two_workers_that_does_not_come_back_is_told_once(server: RunningServer, folder: Path) -> None:
    scale(server, 2)
    lose_a_worker(server, folder)
    told: list[str] = []

    def report(line: str) -> None:
        told.append(line)
        if line.startswith("for "):
            (folder / "gone").unlink()
        elif line.startswith("all "):
            server.folder.leaving.touch()

    attended(server, report)
    server.folder.leaving.unlink()
    missing, again, _ = told
    assert missing.startswith("for 1 s 1 of the workers were not READY: AssertionError: the weights are gone (logs: ")
    assert again == "all workers are READY again"
    scale(server, 1)


def test_a_worker_that_does_not_come_back_ends_the_server(server: RunningServer, folder: Path) -> None:
    lose_a_worker(server, folder)
    no_worker = pytest.raises(
        ServingError, match=r"^for 1 s no worker is READY: \w+: AssertionError: the weights are gone"
    )
    with no_worker:
        attended(server)
    address = ("127.0.0.1", server.options.port)
    with socket.create_connection(address) as client:  # and not only before SIGTERM: nobody will answer this one
        client.sendall(b"POST /predictions/zfnet HTTP/1.1\r\nHost: zfnet\r\nContent-Length: 1\r\n\r\nx")
        wait_for(lambda: activity(server).waiting == 1, "the request does not wait")
        server.folder.leaving.touch()
        with no_worker:
            attended(server)
