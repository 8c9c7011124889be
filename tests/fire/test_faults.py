"""What a client gets while something breaks, and that it is served again. With `-s` each says how long that took."""

import resource
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from zfnet_explainer.torchserve.archive import WEIGHTS, pack
from zfnet_explainer.torchserve.errors import ServingError
from zfnet_explainer.torchserve.server import RunningServer, running_server

from ..torchserve.archives import tiny_archive
from ..waiting import PATIENCE_S, wait_for
from .cases import EXPLAIN, SMALL
from .faults import (
    NO_GPU,
    NO_GPU_MEMORY,
    NO_MEMORY,
    becomes,
    breakable,
    is_replaced,
    kill_worker,
    members,
    predict,
    report,
    says_ready,
    waiting,
    weights_of,
    without_torch,
    worker_of,
)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with breakable(tmp_path_factory.mktemp("breakable")) as running:
        yield running


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("held")


@pytest.fixture(scope="module")
def quick(folder: Path) -> Iterator[RunningServer]:
    """Its workers are there at once, or held up by a file in the folder."""
    with without_torch(folder) as running:
        yield running


def explain(server: RunningServer, window: str) -> httpx.Response:
    url = f"{server.inference_url}{EXPLAIN}"
    return httpx.post(url, files={"data": SMALL}, data={"window": window}, timeout=PATIENCE_S, trust_env=False)


def said(server: RunningServer) -> str:
    """What the workers have logged."""
    return (server.folder.logs / "model_log.log").read_text()


@pytest.mark.parametrize("window", [NO_GPU_MEMORY, NO_MEMORY], ids=["of the GPU", "of the machine"])
def test_no_memory_costs_one_request(server: RunningServer, window: str) -> None:
    worker = worker_of(server)
    answer = explain(server, window)
    since = time.monotonic()
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (500, "internal_error")
    assert "CUDA" not in answer.text
    assert predict(server).status_code == 200
    report(f"out of memory, window {window}", since)
    assert worker_of(server) == worker
    failed = f"request {error['request_id']} failed"
    wait_for(lambda: failed in said(server), "the log does not say which request failed")


def test_a_gpu_that_failed_costs_one_request_and_has_a_new_worker(server: RunningServer) -> None:
    worker = worker_of(server)
    with ThreadPoolExecutor(12) as executor:
        failed = executor.submit(explain, server, NO_GPU)
        others = [executor.submit(predict, server) for _ in range(11)]
        answer = failed.result()
        since = time.monotonic()
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "internal_error")
    lost = [other.result().status_code for other in others if other.result().status_code != 200]
    assert len(lost) <= 1, "what waits is for the next worker"
    is_replaced(server, worker)
    assert predict(server).status_code == 200
    report("the GPU failed", since)
    assert "cpu has failed: this worker ends" in said(server)


def test_a_worker_killed_while_idle_is_not_ready_and_comes_back(quick: RunningServer, folder: Path) -> None:
    assert says_ready(quick)
    (folder / "held").touch()
    since = kill_worker(quick)
    becomes(quick, ready=False)
    with ThreadPoolExecutor(1) as executor:
        answer = executor.submit(predict, quick)
        wait_for(lambda: waiting(quick) == 1 or answer.done(), "the request does not wait")
        (folder / "held").unlink()
        assert answer.result().status_code == 200, "it waited in the queue"
    report("worker killed while idle (without torch)", since)
    becomes(quick, ready=True)


def test_a_worker_killed_under_load_loses_what_it_worked_on_alone(quick: RunningServer, folder: Path) -> None:
    with ThreadPoolExecutor(5) as executor:
        in_hand = executor.submit(predict, quick, b"wait")
        wait_for(lambda: (folder / "begun").exists() or in_hand.done(), "no worker has begun it")
        queued = [executor.submit(predict, quick) for _ in range(4)]
        wait_for(lambda: waiting(quick) == 4, "the others do not wait")
        since = kill_worker(quick)
        lost = in_hand.result()
        answers = [one.result() for one in queued]
    report("worker killed under load (without torch)", since)
    assert lost.status_code in (500, 507)
    assert lost.json()["type"] in ("InternalServerException", "ResourceNotFoundException", "OutOfMemoryException"), (
        lost.text
    )
    assert [answer.status_code for answer in answers] == [200] * 4
    becomes(quick, ready=True)


def test_a_full_disk_costs_the_log_alone(server: RunningServer) -> None:
    """No file of the server's grows any more, as on a full disk; then there is room again."""
    log = server.folder.logs / "model_log.log"
    unlimited = resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (0, unlimited[1]))
    try:
        written = log.stat().st_size
        assert [predict(server).status_code for _ in range(3)] == [200] * 3
        assert log.stat().st_size == written
        worker = worker_of(server)
        since = kill_worker(server)
        is_replaced(server, worker)
        assert predict(server).status_code == 200, "a new worker starts, too"
        report("worker killed with a full disk", since)
    finally:
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, unlimited)
    assert predict(server).status_code == 200
    becomes(server, ready=True)


def test_weights_damaged_under_a_running_server_are_not_served(server: RunningServer) -> None:
    """The next worker checks their hash, and no other answers in its place: the last that this server does."""
    path = weights_of(server)
    sound = path.read_bytes()
    path.write_bytes(sound[:-1] + bytes([sound[-1] ^ 1]))
    assert predict(server).status_code == 200, "the worker that runs has read them"
    kill_worker(server)
    becomes(server, ready=False)
    refused = "is not the file its record describes"
    wait_for(lambda: refused in said(server), "no worker has refused them")
    assert not says_ready(server)
    server.stop()  # or it would try again and again


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
