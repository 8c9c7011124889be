"""One real server for all end-to-end tests: TorchServe on free ports, in a run folder of its own."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from zfnet_explainer.serving.archive import WorkerOptions, ensure_archive
from zfnet_explainer.serving.config import MAX_RESPONSE_BYTES
from zfnet_explainer.serving.devices import Device
from zfnet_explainer.serving.server import RunningServer, running_server

MODEL_STORE = Path(__file__).parents[2] / "model_store"
SAMPLE = MODEL_STORE / "samples" / "church.jpg"


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """The shipped net behind TorchServe, one worker that takes batches of 8."""
    folder = tmp_path_factory.mktemp("server")
    options = WorkerOptions(
        batch_size=8, max_batch_delay_ms=500, device=Device.CPU, max_response_bytes=MAX_RESPONSE_BYTES - 2**20
    )
    ensure_archive(folder / "zfnet.mar", MODEL_STORE / "zfnet.safetensors", options)
    with running_server(folder / "zfnet.mar", folder / "run") as running:
        yield running


@pytest.fixture(scope="session")
def client(server: RunningServer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.inference_url, timeout=300, trust_env=False) as client:
        yield client
