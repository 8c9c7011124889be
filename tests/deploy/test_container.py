"""The container as it is meant to run: read-only, without privileges; it answers, and stops without losing a request.

Opt-in, since an image of several gigabytes has to be built first. ZFNET_RUN says how a container is run on this
machine, on the network of the host:

    ZFNET_RUN="podman run --network host" make container
"""

import os
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from zfnet_explainer.torchserve.config import ServerOptions

from ..samples import MODEL_STORE

RUN = shlex.split(os.environ.get("ZFNET_RUN", ""))
IMAGE = os.environ.get("ZFNET_IMAGE", "zfnet-explainer")
PICTURE = (MODEL_STORE / "samples" / "church.jpg").read_bytes()

pytestmark = pytest.mark.container


@dataclass(frozen=True)
class Container:
    """A running one, and where it listens."""

    name: str
    process: subprocess.Popen[str]
    url: str
    metrics_url: str

    def inside(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([RUN[0], "exec", self.name, *command], capture_output=True, text=True)


@contextmanager
def running_container() -> Iterator[Container]:
    """The container, ready."""
    if not RUN or shutil.which(RUN[0]) is None:
        pytest.fail("ZFNET_RUN does not say how to run a container: docs/deployment.md")
    options = ServerOptions.on_free_ports()
    name = f"zfnet-{options.port}"
    hardened = ["--rm", "--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"]
    served = ["--open", "--archive", "model_store/zfnet.mar", "--device", "cpu", "--drain-seconds", "600"]
    ports = [
        "--port",
        options.port,
        "--management-port",
        options.management_port,
        "--metrics-port",
        options.metrics_port,
    ]
    line = [*RUN, *hardened, "--name", name, IMAGE, *served, *map(str, ports)]
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(line, text=True, **pipes) as process:  # type: ignore[call-overload]
        assert process.stdout is not None
        try:
            assert any("Ctrl-C" in text for text in process.stdout), process.communicate()[1]
            yield Container(name, process, options.inference_url, options.metrics_url)
        finally:
            subprocess.run([RUN[0], "rm", "-f", name], capture_output=True)


def predictions(client: httpx.Client, path: str = "/predictions/zfnet") -> Any:
    return client.post(path, content=PICTURE).raise_for_status().json()["predictions"]


def ready(container: Container) -> bool:
    return container.inside("zfnet-health", "--run-dir", "/run/zfnet", "ready").returncode == 0


def asked_while_ready(container: Container, expected: Any) -> None:
    """Predict again and again, and once more when the container is not ready any more; fail where one is not right."""
    with httpx.Client(base_url=container.url, trust_env=False, timeout=120) as client:
        while ready(container):
            assert predictions(client) == expected
        assert predictions(client) == expected


def test_answers_and_stops_without_losing_a_request() -> None:
    with (
        ThreadPoolExecutor(4) as threads,
        running_container() as container,
        httpx.Client(base_url=container.url, trust_env=False, timeout=300) as client,
    ):
        assert ready(container)
        assert container.inside("id", "-u").stdout == "10001\n"
        assert container.inside("touch", "/opt/zfnet-explainer/x").returncode != 0
        expected = predictions(client)
        assert expected[0]["label"] == "church"
        assert predictions(client, "/explanations/zfnet")[0]["label"] == "church"
        png = client.post("/explanations/zfnet", files={"data": PICTURE}, data={"format": "png"}).raise_for_status()
        assert png.content.startswith(b"\x89PNG")
        assert "zfnet_requests_total" in httpx.get(f"{container.metrics_url}/metrics", trust_env=False).text

        clients = [threads.submit(asked_while_ready, container, expected) for _ in range(3)]
        explanation = threads.submit(predictions, client, "/explanations/zfnet")
        # What `stop` sends; but from `stop` on nothing can be asked inside.
        subprocess.run([RUN[0], "kill", "--signal", "TERM", container.name], check=True, capture_output=True)
        assert explanation.result() == expected
        for one in clients:
            one.result()
        output, errors = container.process.communicate(timeout=60)
    assert container.process.returncode == 0, errors  # which are also those of the program that runs containers
    assert output.splitlines()[-1] == "stopped"
