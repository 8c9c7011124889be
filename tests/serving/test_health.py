"""`zfnet-health` beside a real TorchServe, as a container's probes run it."""

import json
import subprocess
import sys
from pathlib import Path

import httpx

from zfnet_explainer.serving.config import ServerOptions
from zfnet_explainer.serving.run_folder import claimed
from zfnet_explainer.serving.server import running_server

from .archives import tiny_archive

RUN = "from zfnet_explainer.serving.health import main; main()"


def ask(run_dir: Path, *question: str) -> tuple[int, str]:
    """Exit code and stderr of a probe."""
    command = [sys.executable, "-c", RUN, "--run-dir", str(run_dir), *question]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)  # noqa: S603
    assert done.stdout == ""
    return done.returncode, done.stderr


def test_follows_a_server_from_ready_to_gone(tmp_path: Path) -> None:
    run = tmp_path / "run"
    archive = tiny_archive(tmp_path / "tiny.mar")
    options = ServerOptions.on_free_ports(token=True)
    with running_server(archive, run, options) as server:
        assert ask(run, "ready") == ask(run, "alive") == (0, "")

        keys = json.loads(server.folder.key_file.read_text())
        keys["management"]["key"] = "over"  # as after an hour
        server.folder.key_file.write_text(json.dumps(keys))
        assert ask(run, "ready") == (0, ""), "it gets a new one"

        server.folder.leaving.touch()
        assert ask(run, "ready") == (1, "not ready: the server is about to stop\n")
        assert ask(run, "alive") == (0, "")

        httpx.put(
            f"{server.management_url}/models/zfnet",
            params={"min_worker": 0, "max_worker": 0, "synchronous": True},
            headers=server.authorization("management"),
        ).raise_for_status()
        assert httpx.get(f"{server.inference_url}/ping", headers=server.authorization("inference")).status_code == 200
        assert ask(run, "alive") == (1, "not alive: no worker is READY: there is none\n")
    code, said = ask(run, "alive")
    assert (code, said.startswith("not alive: TorchServe does not answer: ")) == (1, True)

    with claimed(run) as folder:
        folder.empty()
        assert not folder.leaving.exists(), "the next server is not the one that left"


def test_a_folder_without_a_server_is_said(tmp_path: Path) -> None:
    assert ask(tmp_path, "ready") == (1, f"not ready: no server was started in {tmp_path}\n")


def test_imports_little() -> None:
    show = "import sys, zfnet_explainer.serving.health; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", show], capture_output=True, text=True, check=True)  # noqa: S603
    assert {"torch", "numpy", "yaml", "httpx", "typer", "rich"}.isdisjoint(done.stdout.split())
