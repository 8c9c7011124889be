"""Several workers behind one port: each answers, and says where it computes."""

import re
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from zfnet_explainer.cores import usable_cores
from zfnet_explainer.serving.archive import WorkerOptions, ensure_archive
from zfnet_explainer.serving.devices import Device
from zfnet_explainer.serving.server import RunningServer, running_server

from ..pictures import MODEL_STORE, encoded, noise

WORKERS = 2
LOGGED = re.compile(r"\bW-(?P<worker>\d+)-\S+ MODEL_LOG - (?P<text>.*)$", re.MULTILINE)


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """The shipped net behind TorchServe, two workers."""
    folder = tmp_path_factory.mktemp("workers")
    options = WorkerOptions(workers=WORKERS, device=Device.CPU)
    ensure_archive(folder / "zfnet.mar", MODEL_STORE / "zfnet.safetensors", options)
    with running_server(folder / "zfnet.mar", folder / "run") as running:
        yield running


def said_by_worker(server: RunningServer) -> dict[str, str]:
    """What each worker has logged."""
    said: dict[str, str] = defaultdict(str)
    for line in LOGGED.finditer((server.folder.logs / "model_log.log").read_text()):
        said[line["worker"]] += line["text"] + "\n"
    return said


def test_each_worker_answers_and_says_its_device(several: RunningServer) -> None:
    picture = encoded(noise())
    names = [f"concurrent-{i}" for i in range(8)]

    def ask(name: str) -> str:
        url = f"{several.inference_url}/predictions/zfnet"
        answer = httpx.post(url, content=picture, headers={"X-Request-Id": name}, timeout=60, trust_env=False)
        device: str = answer.json()["model"]["device"]
        return device

    with ThreadPoolExecutor(len(names)) as executor:
        devices = list(executor.map(ask, names))
    assert devices == ["cpu"] * len(names)

    [model] = httpx.get(f"{several.management_url}/models/zfnet", trust_env=False).json()
    assert len({worker["pid"] for worker in model["workers"]}) == WORKERS
    said = said_by_worker(several)
    assert set(said) == {worker["id"] for worker in model["workers"]}
    threads = max(1, usable_cores() // WORKERS)
    for text in said.values():
        assert f"serving zfnet 1.0.0 on cpu with {threads} threads" in text
        assert any(f"request {name}: 200" in text for name in names), "it has answered some of them"
    assert sorted(re.findall(r"request (concurrent-\d): 200", "".join(said.values()))) == names
