"""Servers that are about to be broken, and how long they take to be well again."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil

from zfnet_explainer.serving.archive import HANDLER, WEIGHTS, WorkerOptions, archive_members, pack
from zfnet_explainer.serving.config import ServerOptions
from zfnet_explainer.serving.devices import Device
from zfnet_explainer.serving.server import RunningServer, running_server

from ..pictures import MODEL_STORE
from .cases import PREDICT, SMALL

READY_AGAIN_S = 300
# Explanations with these windows meet the memory's or the GPU's end; the net itself is the shipped one.
NO_GPU_MEMORY, NO_MEMORY, NO_GPU = "13", "14", "15"
FAILING = f"""


def _meet_an_end():
    explain = Explainer.explain

    def failing(self, pixels, options):
        if options.window == {NO_GPU_MEMORY}:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB on GPU 0")
        if options.window == {NO_MEMORY}:
            raise MemoryError
        if options.window == {NO_GPU}:
            raise torch.AcceleratorError("CUDA error: an illegal memory access was encountered")
        return explain(self, pixels, options)

    Explainer.explain = failing


_meet_an_end()
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
    with running_server(folder / "zfnet.mar", folder / "run", ServerOptions.on_free_ports()) as running:
        yield running


def worker_of(server: RunningServer) -> int:
    """The process id of the one worker."""
    [worker] = psutil.Process(server.process.pid).children()
    return int(worker.pid)


def kill_worker(server: RunningServer) -> float:
    """Kill the worker as the kernel does where memory has run out; the moment."""
    os.kill(worker_of(server), signal.SIGKILL)
    return time.monotonic()


def says_ready(server: RunningServer) -> bool:
    """What a container's probe says."""
    run = "from zfnet_explainer.serving.health import main; main()"
    command = [sys.executable, "-c", run, "--run-dir", str(server.folder.root), "ready"]
    return subprocess.run(command, capture_output=True).returncode == 0  # noqa: S603


def becomes(server: RunningServer, ready: bool) -> None:
    """Wait until the probe says so. Raises TimeoutError where it never does."""
    deadline = time.monotonic() + READY_AGAIN_S
    while says_ready(server) is not ready:
        if time.monotonic() > deadline:
            raise TimeoutError(f"ready is still {not ready}")
        time.sleep(0.05)


def predict(server: RunningServer) -> httpx.Response:
    """A good request's answer, however long it waits."""
    url = f"{server.inference_url}{PREDICT}"
    return httpx.post(url, content=SMALL, timeout=READY_AGAIN_S, trust_env=False)


def report(fault: str, since: float) -> None:
    """Say how long it took until a good request was answered again."""
    print(f"fault: {fault}: served again after {time.monotonic() - since:.1f} s")


def weights_of(server: RunningServer) -> Path:
    """The weights as TorchServe has unpacked them for its workers."""
    [path] = [path for path in server.folder.tmp.rglob(WEIGHTS) if path.is_file()]
    return path
