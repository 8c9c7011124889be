"""A real TorchServe that cannot start, and says why; and the folder that a server has to itself."""

import errno
import fcntl
import os
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from zfnet_explainer.torchserve import run_folder
from zfnet_explainer.torchserve.archive import HANDLER
from zfnet_explainer.torchserve.config import ServerOptions
from zfnet_explainer.torchserve.errors import ServingError
from zfnet_explainer.torchserve.management import missing_workers
from zfnet_explainer.torchserve.run_folder import claimed
from zfnet_explainer.torchserve.server import running_server

from ..waiting import PATIENCE_S
from .archives import tiny_archive
from .running import processes_of


@pytest.mark.slow
def test_a_handler_that_raises_is_the_cause(tmp_path: Path) -> None:
    archive = tiny_archive(tmp_path / "tiny.mar", initialize="raise ValueError('no such layer: conv9')")
    options = ServerOptions.on_free_ports()
    with (
        pytest.raises(ServingError, match=r"ValueError: no such layer: conv9 \(logs: .*logs\)$"),
        running_server(archive, tmp_path / "run", options),
    ):
        pytest.fail("it cannot have started")
    options.check_ports()
    assert processes_of(tmp_path) == []
    assert set(os.listdir(tmp_path)) == {"tiny.mar", "run"}


@pytest.mark.slow
def test_a_handler_on_the_path_is_not_served_for_the_archives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / HANDLER).write_text("raise ValueError('a checkout')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with running_server(tiny_archive(tmp_path / "tiny.mar"), tmp_path / "run") as server:
        url = f"{server.inference_url}/predictions/zfnet"
        assert httpx.post(url, content=b"x", timeout=PATIENCE_S, trust_env=False).text == "ok"


@pytest.mark.slow
def test_a_worker_that_always_dies_without_a_word_is_given_up(tmp_path: Path) -> None:
    archive = tiny_archive(tmp_path / "tiny.mar", initialize="import os; os._exit(1)")
    with (
        pytest.raises(ServingError, match="could not be loaded: a worker ended without an exception"),
        running_server(archive, tmp_path / "run"),
    ):
        pytest.fail("it cannot have started")


@pytest.mark.parametrize(
    ("states", "missing"),
    [(["READY", "UNLOADED"], 1), (["READY", "READY"], 0), (["READY"], 1), (3 * ["READY"], 0), ([], 2)],
    ids=["one loads", "both are ready", "one is missing", "one more than it wants", "none is there"],
)
def test_a_model_is_ready_with_its_last_worker(states: list[str], missing: int) -> None:
    assert missing_workers({"minWorkers": 2, "workers": [{"status": state} for state in states]}) == missing


def test_a_run_folder_belongs_to_one_server(tmp_path: Path) -> None:
    archive = tiny_archive(tmp_path / "tiny.mar")
    with (
        claimed(tmp_path / "run"),
        pytest.raises(ServingError, match=r"another server runs in .*run \(it is starting\): stop it or give another"),
        running_server(archive, tmp_path / "run"),
    ):
        pytest.fail("it cannot have started")


def test_who_had_a_run_folder_before_is_not_named(tmp_path: Path) -> None:
    with claimed(tmp_path / "run") as (_, lock):
        print("TorchServe is process 1", end="", file=lock, flush=True)
    with (
        claimed(tmp_path / "run"),
        pytest.raises(ServingError, match=r"\(it is starting\)"),
        claimed(tmp_path / "run"),
    ):
        pytest.fail("it cannot have been claimed")


@pytest.mark.parametrize("name", ["model_store", "tmp", "logs", "config.properties", "key_file.json"])
def test_a_folder_with_others_files_is_no_run_folder(tmp_path: Path, name: str) -> None:
    archive = tiny_archive(tmp_path / "tiny.mar")
    others = tmp_path / "project" / name / "ours"
    others.parent.mkdir(parents=True)
    others.write_text("kept")
    with (
        pytest.raises(ServingError, match=f"project has {name}, which no server has made and a start would empty"),
        running_server(archive, tmp_path / "project"),
    ):
        pytest.fail("it cannot have started")
    assert others.read_text() == "kept"
    assert [path.name for path in (tmp_path / "project").iterdir()] == [name]


def test_an_archive_in_what_a_start_empties_is_refused_and_stays(tmp_path: Path) -> None:
    with claimed(tmp_path / "run") as (folder, _):
        folder.empty()
    archive = tiny_archive(folder.store / "tiny.mar")
    with (
        pytest.raises(ServingError, match="lies where a start empties the run folder: give another --run-dir"),
        running_server(archive, tmp_path / "run"),
    ):
        pytest.fail("it cannot have started")
    assert archive.exists()


def test_a_start_keeps_the_last_logs_and_nothing_else_of_the_last_run(tmp_path: Path) -> None:
    with claimed(tmp_path / "run") as (folder, _):
        for log in ("first", "second", "third"):
            folder.empty()
            assert not any(any(path.iterdir()) for path in (folder.logs, folder.tmp, folder.store))
            (folder.logs / f"{log}.log").touch()
            for left in (folder.tmp / "socket", folder.store / "zfnet.mar", folder.key_file, folder.leaving):
                left.touch()
        folder.empty()
    assert {path.name for path in folder.root.iterdir()} == {"lock", "logs", "logs.previous", "tmp", "model_store"}
    assert [path.name for path in (folder.root / "logs.previous").iterdir()] == ["third.log"]


def test_a_run_folder_is_for_its_owner_alone(tmp_path: Path) -> None:
    run_folder.make(tmp_path / "run")
    assert (tmp_path / "run").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("visible", ["GPU-8f2e0f4a", "NoDevFiles", "0, 1"])
def test_gpus_that_java_cannot_read_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, visible: str) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    with (
        pytest.raises(ServingError, match="TorchServe reads numbers alone: give 0,1 or so, or unset it"),
        running_server(tiny_archive(tmp_path / "tiny.mar"), tmp_path / "run"),
    ):
        pytest.fail("it cannot have started")


@pytest.mark.slow
@pytest.mark.parametrize("visible", ["-1", ""], ids=["none, as many say it", "none"])
def test_a_server_without_gpus_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, visible: str) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    with running_server(tiny_archive(tmp_path / "tiny.mar"), tmp_path / "run") as server:
        server.check_alive()


def test_a_run_folder_too_deep_for_sockets_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ServingError, match="give a shorter --run-dir"), claimed(tmp_path / ("deep" * 25)):
        pytest.fail("it cannot have been claimed")


def test_a_run_folder_that_cannot_be_made_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "taken").write_text("a file")
    monkeypatch.setattr(run_folder, "LONGEST_SOCKET_FOLDER", 4096)  # the tests' own folders are deep
    with (
        pytest.raises(ServingError, match=r"run cannot be written \(Not a directory\): give another --run-dir"),
        claimed(tmp_path / "taken" / "run"),
    ):
        pytest.fail("it cannot have been claimed")


def test_a_run_folder_without_locks_or_sockets_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on Lustre without `-o flock`, and on a Windows drive in WSL."""

    def flock(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    class Unsupported(socket.socket):
        def bind(self, _: object) -> None:
            raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))

    def said() -> str:
        with pytest.raises(ServingError, match="give a --run-dir on a local file system") as refused:
            claimed(tmp_path / "run").__enter__()
        return str(refused.value)

    with monkeypatch.context() as patch:
        patch.setattr(fcntl, "flock", flock)
        assert said().startswith(f"files cannot be locked in {tmp_path / 'run'} (No locks available)")
    with monkeypatch.context() as patch:
        patch.setattr(socket, "socket", Unsupported)
        assert said().startswith(f"sockets cannot be opened in {tmp_path / 'run'} (Operation not supported)")
    ours = tmp_path / "run" / "socket"
    ours.write_text("kept")
    with claimed(tmp_path / "run") as (folder, _):
        assert {path.name for path in folder.root.iterdir()} == {"lock", "socket"}
    assert ours.read_text() == "kept"


def test_without_file_locks_the_other_commands_work_and_the_server_says_what_to_do(tmp_path: Path) -> None:
    """As on Windows, where Python has no fcntl."""
    script = f"""
import sys
sys.modules["fcntl"] = None
import os
del os.O_NONBLOCK
from pathlib import Path
from zfnet_explainer.commands import main
from zfnet_explainer.pictures.files import read_file
from zfnet_explainer.torchserve.errors import ServingError
from zfnet_explainer.torchserve.run_folder import claimed
try:
    with claimed(Path({str(tmp_path / "run")!r})):
        raise SystemExit("it cannot have been claimed")
except ServingError as error:
    print(error)
print(read_file(Path({__file__!r}), size=3))
"""
    said = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout
    assert said == 'the server runs on Linux and macOS: on Windows use WSL or the container\nb\'"""\'\n'
