"""What is too costly to have for every test: large nets, never to be changed, and one real server."""

from collections.abc import Iterator

import httpx
import pytest
import torch
import torchvision
from torch import nn

from zfnet_explainer.net.chain import Chain
from zfnet_explainer.net.zfnet import zfnet
from zfnet_explainer.serving.archive import WorkerOptions, ensure_archive
from zfnet_explainer.serving.config import MAX_RESPONSE_BYTES
from zfnet_explainer.serving.devices import Device
from zfnet_explainer.serving.server import RunningServer, running_server

from .chains import seeded
from .pictures import MODEL_STORE


@pytest.fixture(scope="module", autouse=True)
def _torch_threads() -> Iterator[None]:
    """A handler leaves the thread that makes it with one of torch's threads, and with other rounding."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def random_zfnet() -> Chain:
    """ZFNet with ten classes and seeded weights."""
    return seeded(zfnet(10, {}), 0)


@pytest.fixture(scope="session")
def random_alexnet() -> nn.Sequential:
    """Torchvision's AlexNet with seeded weights, from pixels to logits."""
    with torch.device("meta"):
        net = torchvision.models.alexnet()
    return seeded(nn.Sequential(net.features, net.avgpool, nn.Flatten(), net.classifier), 1)


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
