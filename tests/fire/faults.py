"""Servers that are about to be broken, and how long they take to be well again."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil

from zfnet_explainer.torchserve.archive import HANDLER, WEIGHTS, WorkerOptions, archive_members, pack
from zfnet_explainer.torchserve.devices import Device
from zfnet_explainer.torchserve.health import check_alive, check_staying
from zfnet_explainer.torchserve.management import NotHealthy
from zfnet_explainer.torchserve.server import RunningServer, running_server

from ..samples import MODEL_STORE
from ..torchserve.archives import one_worker
from ..waiting import PATIENCE_S, wait_for
from .cases import PREDICT, SMALL

# Explanations with these windows meet the memory's or the GPU's end; the net itself is the shipped one.
NO_GPU_MEMORY, NO_MEMORY, NO_GPU = "13", "14", "15"
FAILING = f"""


def _meet_an_end():
    from zfnet_explainer.service import service

    explain = Explainer.explain

    def failing(self, pixels, options):
        if options.window == {NO_GPU_MEMORY}:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB on GPU 0")
        if options.window == {NO_MEMORY}:
            raise MemoryError
        if options.window == {NO_GPU}:
            service.is_lost = lambda _: True  # as CUDA would say of a GPU from now on
            raise torch.AcceleratorError("CUDA error: an illegal memory access was encountered")
        return explain(self, pixels, options)

    Explainer.explain = failing


_meet_an_end()
"""
# Without torch: it does not start while the file `held` is there, and a request may wait for the file `go`.
WITHOUT_TORCH = """
from pathlib import Path
from time import sleep

FOLDER = Path({folder!r})

class WithoutTorch:
    def initialize(self, context):
        while (FOLDER / "held").exists():
            sleep(0.01)

    def handle(self, rows, context):
        if rows[0]["body"] == b"wait":
            (FOLDER / "begun").touch()
            while not (FOLDER / "go").exists():
                sleep(0.01)
        return ["ok"] * len(rows)
"""


def members() -> dict[str, bytes]:
    """The shipped archive's files, with a handler that can be made to run out of memory or lose its GPU."""
    found = archive_members(MODEL_STORE / "zfnet.safetensors", WorkerOptions(device=Device.CPU))
    found[HANDLER] += FAILING.encode()
    return found


@contextmanager
def breakable(folder: Path) -> Iterator[RunningServer]:
    """The shipped net, one worker."""
    pack(members(), folder / "zfnet.mar")
    with running_server(folder / "zfnet.mar", folder / "run") as running:
        yield running


@contextmanager
def without_torch(folder: Path) -> Iterator[RunningServer]:
    """A handler that can be held up, one worker."""
    archive = one_worker(folder / "held.mar", WITHOUT_TORCH.format(folder=str(folder)).encode())
    with running_server(archive, folder / "run") as running:
        yield running


def worker_of(server: RunningServer) -> int | None:
    """The process id of the one worker, where there is one."""
    workers = psutil.Process(server.process.pid).children()
    assert len(workers) <= 1
    return int(workers[0].pid) if workers else None


def kill_worker(server: RunningServer) -> float:
    """Kill the worker as the kernel does where memory has run out; the moment."""
    worker = worker_of(server)
    assert worker is not None
    os.kill(worker, signal.SIGKILL)
    return time.monotonic()


def is_replaced(server: RunningServer, worker: int | None) -> None:
    """Wait until TorchServe has started another worker: until it notices, requests are lost."""
    wait_for(lambda: worker_of(server) not in (None, worker), "no other worker was started")


def says_ready(server: RunningServer) -> bool:
    """What a container's probe says."""
    try:
        check_alive(server.folder)
        check_staying(server.folder)
    except NotHealthy:
        return False
    return True


def becomes(server: RunningServer, ready: bool) -> None:
    """Wait until the probe says so."""
    wait_for(lambda: says_ready(server) is ready, f"ready is still {not ready}")


def predict(server: RunningServer, content: bytes = SMALL) -> httpx.Response:
    """A good request's answer, however long it waits."""
    url = f"{server.inference_url}{PREDICT}"
    return httpx.post(url, content=content, timeout=PATIENCE_S, trust_env=False)


def waiting(server: RunningServer) -> int:
    """How many requests wait for a worker."""
    [model] = httpx.get(f"{server.management_url}/models/zfnet", timeout=PATIENCE_S, trust_env=False).json()
    found: int = model["jobQueueStatus"]["pendingRequests"]
    return found


def report(fault: str, since: float) -> None:
    """Say how long it took until a good request was answered again."""
    print(f"fault: {fault}: served again after {time.monotonic() - since:.1f} s")


def weights_of(server: RunningServer) -> Path:
    """The weights as TorchServe has unpacked them for its workers."""
    [path] = [path for path in server.folder.tmp.rglob(WEIGHTS) if path.is_file()]
    return path
