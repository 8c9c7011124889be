"""A server to be put under load, and what its processes hold."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
from tests.samples import MODEL_STORE

from zfnet_explainer.torchserve.archive import WorkerOptions, ensure_archive
from zfnet_explainer.torchserve.config import MAX_ANSWER_BYTES
from zfnet_explainer.torchserve.devices import Device
from zfnet_explainer.torchserve.server import RunningServer, running_server

MIB = 2**20


@dataclass(frozen=True)
class Held:
    """MiB of memory that is resident, and open files, pipes and sockets."""

    worker_mib: float
    java_mib: float
    files: int


@contextmanager
def served(workers: int) -> Iterator[RunningServer]:
    """The shipped net behind TorchServe on the CPU, so many workers; its folder is gone afterwards."""
    options = WorkerOptions(workers=workers, device=Device.CPU, max_response_bytes=MAX_ANSWER_BYTES)
    with tempfile.TemporaryDirectory() as name:
        archive = Path(name, "zfnet.mar")
        ensure_archive(archive, MODEL_STORE / "zfnet.safetensors", options)
        with running_server(archive, Path(name, "run")) as running:
            yield running


def worker_pids(server: RunningServer) -> set[int]:
    """The processes that TorchServe has started."""
    return {child.pid for child in psutil.Process(server.process.pid).children()}


def held(server: RunningServer) -> Held:
    """What the server's processes hold now, all workers together."""
    java = psutil.Process(server.process.pid)
    workers = java.children()
    return Held(
        round(sum(worker.memory_info().rss for worker in workers) / MIB, 1),
        round(java.memory_info().rss / MIB, 1),
        sum(process.num_fds() for process in (java, *workers)),
    )
