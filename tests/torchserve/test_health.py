"""`zfnet-health`, as a container's probes run it, where there is no server; test_life.py asks it beside one."""

import subprocess
import sys
from pathlib import Path

import pytest

from zfnet_explainer.torchserve.management import NotHealthy, model_now
from zfnet_explainer.torchserve.run_folder import RunFolder

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


def test_imports_little() -> None:
    show = "import sys, zfnet_explainer.torchserve.health; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", show], capture_output=True, text=True, check=True)
    assert {"torch", "numpy", "yaml", "httpx", "typer", "rich"}.isdisjoint(done.stdout.split())
