"""`zfnet-health`, as a container's probes run it, where there is no server; test_life.py asks it beside one."""

import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from zfnet_explainer.torchserve import management
from zfnet_explainer.torchserve.management import NotHealthy, model_now
from zfnet_explainer.torchserve.ports import LOOPBACK
from zfnet_explainer.torchserve.run_folder import RunFolder

from ..waiting import PATIENCE_S
from .running import ask


def test_a_folder_without_a_server_is_said(tmp_path: Path) -> None:
    assert ask(tmp_path, "ready") == (1, f"not ready: no server was started in {tmp_path}\n")


@pytest.mark.parametrize("keys", ["", '{"management": ', "{}", "[]", '{"management": 1}'])
def test_a_key_file_that_is_just_written_is_no_error_of_the_program(tmp_path: Path, keys: str) -> None:
    folder = RunFolder(tmp_path)
    folder.config.write_text(
        "management_address=http://127.0.0.1:9\nload_models=zfnet=zfnet.mar\ndisable_token_authorization=false\n"
    )
    folder.key_file.write_text(keys)
    with pytest.raises(NotHealthy, match=r"key_file\.json cannot be read"):
        model_now(folder)


def test_a_server_that_hangs_is_no_healthy_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its port is open, and nobody answers."""
    monkeypatch.setattr(management, "TIMEOUT_S", 0.1)
    folder = RunFolder(tmp_path)
    with ThreadPoolExecutor(1) as threads, socket.create_server((LOOPBACK, 0)) as hung:
        folder.config.write_text(
            f"management_address=http://{LOOPBACK}:{hung.getsockname()[1]}\nload_models=zfnet=zfnet.mar\n"
            "disable_token_authorization=true\n"
        )
        error = threads.submit(model_now, folder).exception(PATIENCE_S)
    assert isinstance(error, NotHealthy)
    assert str(error) == "TorchServe does not answer: timed out"


def test_imports_little() -> None:
    show = "import sys, zfnet_explainer.torchserve.health; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", show], capture_output=True, text=True, check=True)
    assert {"torch", "numpy", "yaml", "httpx", "typer", "rich"}.isdisjoint(done.stdout.split())
