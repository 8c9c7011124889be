"""What a client gets while something breaks, and that it is served again. With `-s` each says how long that took."""

import os
import resource
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from zfnet_explainer.serving.archive import WEIGHTS, pack
from zfnet_explainer.serving.config import ServerOptions
from zfnet_explainer.serving.errors import ServingError
from zfnet_explainer.serving.server import RunningServer, running_server

from ..serving.archives import tiny_archive
from .cases import EXPLAIN, PREDICT, SMALL
from .faults import (
    NO_GPU,
    NO_GPU_MEMORY,
    NO_MEMORY,
    READY_AGAIN_S,
    becomes,
    breakable,
    kill_worker,
    members,
    predict,
    report,
    says_ready,
    weights_of,
    worker_of,
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with breakable(tmp_path_factory.mktemp("breakable")) as running:
        yield running


@pytest.mark.slow
@pytest.mark.parametrize("window", [NO_GPU_MEMORY, NO_MEMORY], ids=["of the GPU", "of the machine"])
def test_no_memory_costs_one_request(server: RunningServer, window: str) -> None:
    worker = worker_of(server)
    url = f"{server.inference_url}{EXPLAIN}"
    answer = httpx.post(url, files={"data": SMALL}, data={"window": window}, timeout=60, trust_env=False)
    since = time.monotonic()
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (500, "internal_error")
    assert "CUDA" not in answer.text
    assert predict(server).status_code == 200
    report(f"out of memory, window {window}", since)
    assert worker_of(server) == worker
    assert f"request {error['request_id']} failed" in (server.folder.logs / "model_log.log").read_text()


@pytest.mark.slow
def test_a_gpu_that_failed_costs_one_request_and_has_a_new_worker(server: RunningServer) -> None:
    worker = worker_of(server)
    url = f"{server.inference_url}{EXPLAIN}"
    answer = httpx.post(url, files={"data": SMALL}, data={"window": NO_GPU}, timeout=60, trust_env=False)
    since = time.monotonic()
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "internal_error")
    becomes(server, ready=False)
    assert predict(server).status_code == 200
    report("the GPU failed", since)
    assert worker_of(server) != worker
    assert "cpu has failed: this worker ends" in (server.folder.logs / "model_log.log").read_text()


@pytest.mark.slow
def test_a_worker_killed_while_idle_is_not_ready_and_comes_back(server: RunningServer) -> None:
    assert says_ready(server)
    since = kill_worker(server)
    becomes(server, ready=False)
    answer = predict(server)
    report("worker killed while idle", since)
    assert answer.status_code == 200, "it waited in the queue"
    becomes(server, ready=True)


@pytest.mark.slow
def test_a_worker_killed_under_load_loses_what_it_worked_on_alone(server: RunningServer) -> None:
    url = f"{server.inference_url}{EXPLAIN}"
    long = {"window": "16", "stride": "4", "methods": "occlusion"}
    before = arrived(server)
    with ThreadPoolExecutor(5) as executor:
        explained = executor.submit(
            httpx.post, url, files={"data": SMALL}, data=long, timeout=READY_AGAIN_S, trust_env=False
        )
        while arrived(server) <= before:
            time.sleep(0.01)
        queued = [executor.submit(predict, server) for _ in range(4)]
        since = kill_worker(server)
        lost = explained.result()
        answers = [one.result() for one in queued]
    report("worker killed under load", since)
    assert lost.status_code in (500, 507)
    assert lost.json()["type"] in ("InternalServerException", "ResourceNotFoundException", "OutOfMemoryException"), (
        lost.text
    )
    assert [answer.status_code for answer in answers] == [200] * 4
    becomes(server, ready=True)


def arrived(server: RunningServer) -> int:
    """How many requests the workers have begun."""
    return (server.folder.logs / "model_log.log").read_text().count("Backend received inference")


@pytest.mark.slow
def test_a_full_disk_costs_the_log_alone(server: RunningServer) -> None:
    """No file of the server's grows any more, as on a full disk; then there is room again."""
    log = server.folder.logs / "model_log.log"
    unlimited = resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (0, unlimited[1]))
    try:
        written = log.stat().st_size
        assert [predict(server).status_code for _ in range(3)] == [200] * 3
        assert log.stat().st_size == written
        since = kill_worker(server)
        becomes(server, ready=False)
        assert predict(server).status_code == 200, "a new worker starts, too"
        report("worker killed with a full disk", since)
    finally:
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, unlimited)
    assert predict(server).status_code == 200
    becomes(server, ready=True)


@pytest.mark.slow
def test_weights_damaged_under_a_running_server_are_not_served(server: RunningServer) -> None:
    """The next worker checks their hash, and no other answers in its place: the last that this server does."""
    path = weights_of(server)
    sound = path.read_bytes()
    path.write_bytes(sound[:-1] + bytes([sound[-1] ^ 1]))
    assert predict(server).status_code == 200, "the worker that runs has read them"
    kill_worker(server)
    becomes(server, ready=False)
    while "is not the file its record describes" not in (server.folder.logs / "model_log.log").read_text():
        time.sleep(0.05)
    assert not says_ready(server)


@pytest.mark.slow
def test_weights_that_do_not_match_their_hash_do_not_start(tmp_path: Path) -> None:
    changed = members()
    changed[WEIGHTS] = changed[WEIGHTS][:-1] + bytes([changed[WEIGHTS][-1] ^ 1])
    pack(changed, tmp_path / "zfnet.mar")
    with (
        pytest.raises(ServingError, match="is not the file its record describes"),
        running_server(tmp_path / "zfnet.mar", tmp_path / "run"),
    ):
        pytest.fail("it cannot have started")


def test_an_archive_damaged_on_disk_does_not_start(tmp_path: Path) -> None:
    """Its list of files is whole, one of them is not."""
    archive = tiny_archive(tmp_path / "tiny.mar")
    content = archive.read_bytes()
    at = content.index(b"class Tiny")
    archive.write_bytes(content[:at] + b"klass" + content[at + 5 :])
    with pytest.raises(ServingError) as caught, running_server(archive, tmp_path / "run"):
        pytest.fail("it cannot have started")
    assert "CRC" in str(caught.value)


@pytest.mark.slow
def test_a_frontend_that_is_killed_can_be_started_in_the_same_place(tmp_path: Path) -> None:
    archive = tiny_archive(tmp_path / "tiny.mar", handle="import time; time.sleep(60)")
    options = ServerOptions.on_free_ports()
    with running_server(archive, tmp_path / "run", options) as first, ThreadPoolExecutor(1) as executor:
        waiting = executor.submit(predict, first)
        while arrived(first) < 1:
            time.sleep(0.01)
        os.kill(first.process.pid, signal.SIGKILL)
        since = time.monotonic()
        with pytest.raises(httpx.TransportError):
            waiting.result()
    tiny_archive(archive)
    with running_server(archive, tmp_path / "run", options) as second:
        assert httpx.post(f"{second.inference_url}{PREDICT}", content=SMALL, trust_env=False).text == "ok"
        report("frontend killed (without torch)", since)
