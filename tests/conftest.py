"""What is too costly to have for every test: large nets, never to be changed, and one real server."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import torch
from torch import nn

from zfnet_explainer.net.chain import Chain
from zfnet_explainer.net.zfnet import zfnet
from zfnet_explainer.torchserve.archive import WorkerOptions, ensure_archive
from zfnet_explainer.torchserve.config import MAX_ANSWER_BYTES
from zfnet_explainer.torchserve.devices import Device
from zfnet_explainer.torchserve.server import RunningServer, running_server
from zfnet_explainer.training.recipe import FAST

from . import ended
from .chains import seeded
from .left_out import LeftOut
from .samples import MODEL_STORE

# Folders whose tests start servers: first, so that a run ends with small pieces, which processes share evenly.
FIRST = ("fire", "monitoring", "end_to_end", "torchserve", "deploy", "examples", "training")
# Session fixtures that are a process each: their tests stay together, so that it is started once.
SHARED = ("server", "target", "gateway", "browser")


def pytest_configure(config: pytest.Config) -> None:
    # A test's server lives for seconds: what a compiler that optimises costs at the start never comes back.
    os.environ.setdefault("JDK_JAVA_OPTIONS", "-XX:TieredStopAtLevel=1")
    # Under nohup, or in a script's background, what tests start would inherit that these are ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    config.pluginmanager.register(LeftOut(), "left_out")
    config.pluginmanager.register(ended)


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Group the tests for `--dist loadgroup`: those of one shared process, else those of one file."""
    for item in items:
        item.add_marker(pytest.mark.xdist_group(_group(item)))
    items.sort(key=_turn)


def _group(item: pytest.Item) -> str:
    assert isinstance(item, pytest.Function)
    shared = (name for name in SHARED if name in item.fixturenames and not hasattr(item.module, name))
    return next(shared, item.nodeid.partition("::")[0])


def _turn(item: pytest.Item) -> int:
    folder = item.path.relative_to(Path(__file__).parent).parts[0]
    return FIRST.index(folder) if folder in FIRST else len(FIRST)


@pytest.fixture(scope="module", autouse=True)
def _torch_threads() -> Iterator[None]:
    """A handler leaves the thread that makes it with one of torch's threads, and with other rounding."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def random_zfnet() -> Chain:
    """ZFNet with ten classes and seeded weights, as thin as one that is trained."""
    return seeded(zfnet(10, FAST.ranks), 0)


@pytest.fixture(scope="session")
def random_alexnet() -> nn.Sequential:
    """Torchvision's AlexNet with seeded weights and fewer hidden units, from pixels to logits."""
    import torchvision  # seconds, which few tests need

    with torch.device("meta"):
        net = torchvision.models.alexnet()
        net.classifier[1], net.classifier[4], net.classifier[6] = (
            nn.Linear(256 * 6 * 6, 64), nn.Linear(64, 64), nn.Linear(64, 1000),
        )  # fmt: skip
    return seeded(nn.Sequential(net.features, net.avgpool, nn.Flatten(), net.classifier), 1)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """The shipped net behind TorchServe, one worker that takes batches of 8."""
    folder = tmp_path_factory.mktemp("server")
    options = WorkerOptions(batch_size=8, max_batch_delay_ms=50, device=Device.CPU, max_response_bytes=MAX_ANSWER_BYTES)
    ensure_archive(folder / "zfnet.mar", MODEL_STORE / "zfnet.safetensors", options)
    with running_server(folder / "zfnet.mar", folder / "run") as running:
        yield running


@pytest.fixture(scope="session")
def client(server: RunningServer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.inference_url, timeout=300, trust_env=False) as client:
        yield client
