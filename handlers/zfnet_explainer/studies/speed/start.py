"""From starting a server to its first answer: ours against a handler that does nothing, on the same TorchServe."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import httpx

from ...torchserve.archive import HANDLER, MODEL, WorkerOptions, ensure_archive, model_config, pack
from ...torchserve.config import ServerOptions
from ...torchserve.devices import Device
from ...torchserve.packed import MODEL_CONFIG
from ...torchserve.server import running_server
from .interleaved import medians
from .machine import CPU
from .requests import fresh_pictures

EMPTY = """class Empty:
    def initialize(self, context):
        pass

    def handle(self, rows, context):
        return [b"{}"] * len(rows)
"""


def beside(options: WorkerOptions) -> ServerOptions:
    """Of a server for one such worker: on free ports, with the GPU that it computes on."""
    return ServerOptions.on_free_ports(gpus=int(options.device is Device.CUDA))


@dataclass(frozen=True)
class StartRow:
    """Median seconds until a prediction was answered, archives being built already."""

    ours: float
    empty: float

    @property
    def ratio(self) -> float:
        return self.ours / self.empty


def measure(weights: Path, options: WorkerOptions, folder: Path, repeats: int) -> StartRow:
    """Start both in turn, in `folder`; a first start of each warms the files' cache."""
    ours, empty = folder / "ours.mar", folder / "empty.mar"
    ensure_archive(ours, weights, options)
    pack({HANDLER: EMPTY.encode(), MODEL_CONFIG: model_config(options).encode()}, empty)
    [picture] = fresh_pictures(1)

    def first_answer(archive: Path) -> None:
        with running_server(archive, folder / "run", beside(options)) as server:
            httpx.post(
                f"{server.inference_url}/predictions/{MODEL}", files={"data": picture}, timeout=60, trust_env=False
            ).raise_for_status()

    times = medians({"ours": partial(first_answer, ours), "empty": partial(first_answer, empty)}, CPU, repeats)
    return StartRow(**times)
