"""`zfnet-health`, as a container's probes run it, where there is no server; test_life.py asks it beside one."""

import subprocess
import sys
from pathlib import Path

from .running import ask


def test_a_folder_without_a_server_is_said(tmp_path: Path) -> None:
    assert ask(tmp_path, "ready") == (1, f"not ready: no server was started in {tmp_path}\n")


def test_imports_little() -> None:
    show = "import sys, zfnet_explainer.torchserve.health; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", show], capture_output=True, text=True, check=True)
    assert {"torch", "numpy", "yaml", "httpx", "typer", "rich"}.isdisjoint(done.stdout.split())
