"""A server of its own for what could leave traces in it."""

from collections.abc import Iterator
from dataclasses import replace

import httpx
import pytest

from zfnet_explainer.torchserve.archive import WorkerOptions, ensure_archive
from zfnet_explainer.torchserve.config import MAX_ANSWER_BYTES, ServerOptions
from zfnet_explainer.torchserve.devices import Device
from zfnet_explainer.torchserve.server import RunningServer, running_server

from ..samples import MODEL_STORE

FRIEND = "https://dashboards.example.com"


@pytest.fixture(scope="session")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """The shipped net behind TorchServe, one worker, one request at a time; pages of one other origin may ask."""
    folder = tmp_path_factory.mktemp("target")
    options = WorkerOptions(device=Device.CPU, max_response_bytes=MAX_ANSWER_BYTES, allowed_origin=FRIEND)
    ensure_archive(folder / "zfnet.mar", MODEL_STORE / "zfnet.safetensors", options)
    where = replace(ServerOptions.on_free_ports(), allowed_origin=FRIEND)
    with running_server(folder / "zfnet.mar", folder / "run", where) as running:
        yield running


@pytest.fixture(scope="session")
def attacker(target: RunningServer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=target.inference_url, timeout=60, trust_env=False) as client:
        yield client
