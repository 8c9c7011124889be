"""What `zfnet-explainer serve` and `package` refuse: in one line, before anything is started."""

import errno
import hashlib
import json
import os
import reprlib
import signal
import socket
import subprocess
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NoReturn
from unittest.mock import MagicMock, Mock

import pytest
import typer
from typer.testing import CliRunner

from zfnet_explainer.commands.package import package
from zfnet_explainer.commands.serve import _take_signals, introduce, serve
from zfnet_explainer.torchserve.archive import WorkerOptions, model_config
from zfnet_explainer.torchserve.config import MAX_ANSWER_BYTES, ServerOptions
from zfnet_explainer.torchserve.devices import Device
from zfnet_explainer.torchserve.errors import ServingError
from zfnet_explainer.torchserve.packed import MODEL_CONFIG
from zfnet_explainer.torchserve.run_folder import RunFolder
from zfnet_explainer.torchserve.server import RunningServer

from .archives import tiny_archive
from .running import serve_arguments

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

app = typer.Typer()
app.command()(serve)
app.command()(package)


@pytest.fixture(autouse=True)
def _signals() -> Iterator[None]:
    """The command takes signals as its own process would."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def refusal(*arguments: str | Path) -> str:
    """The only line of a command that does nothing."""
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert done.exit_code == 1
    assert done.stderr.count("\n") == 1
    return done.stderr.removesuffix("\n")


def test_a_taken_port_is_one_line(tmp_path: Path) -> None:
    options = ServerOptions.on_free_ports()
    archive = tiny_archive(tmp_path / "tiny.mar")
    with socket.create_server(("127.0.0.1", options.management_port)):
        said = refusal("serve", *serve_arguments(tmp_path, options), "--archive", archive)
    assert said == f"error: port {options.management_port} is taken: choose another with --management-port"
    assert not (tmp_path / "run").exists(), "before anything is started"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--host", "0.0.0.0"], "--host 0.0.0.0 lets other machines in: ask for a key with --token, or say --open"),  # noqa: S104
        (["--host", "127.0..1", "--open"], "--host 127.0..1 is not an IPv4 address and cannot be resolved to one"),
        (["--host", "::", "--open"], "--host :: is not an IPv4 address and cannot be resolved to one"),
        (["--weights", "nowhere.safetensors"], "cannot read the weights nowhere.safetensors"),
        (
            ["--token", "--allow-origin", "https://d.example"],
            "pages of https://d.example cannot send the key that --token asks for: put the gateway in front",
        ),
        (["--archive", "nowhere.mar"], "there is no archive nowhere.mar"),
        (
            ["--archive", "nowhere.mar", "--workers", "2"],
            "--workers, --batch-size, --weights and --allow-origin are fixed in an archive: "
            "leave them out, or leave --archive out and one is built with them",
        ),
        *(
            (
                ["--archive", "nowhere.mar", *given],
                "--workers, --batch-size, --weights and --allow-origin are fixed",
            )
            for given in (
                ["--allow-origin", "https://a.example"],
                ["--batch-size", "2"],
                ["--weights", "nowhere.safetensors"],
            )
        ),
    ],
    ids=reprlib.repr,
)
def test_what_cannot_be_served_is_one_line(tmp_path: Path, arguments: list[str], message: str) -> None:
    said = refusal("serve", *serve_arguments(tmp_path, ServerOptions.on_free_ports()), *arguments)
    assert said.startswith(f"error: {message}")


@pytest.mark.parametrize(
    ("arguments", "gpus", "packing"),
    [
        ([], 0, WorkerOptions(device=Device.CPU)),
        (
            ["--workers", "2", "--batch-size", "4", "--allow-origin", "https://d.example"],
            0,
            WorkerOptions(2, 4, device=Device.CPU, allowed_origin="https://d.example"),
        ),
        (["--device", "auto"], 3, WorkerOptions(3, device=Device.CUDA)),
        (["--device", "cuda", "--workers", "2"], 3, WorkerOptions(2, device=Device.CUDA)),
    ],
    ids=["the defaults", "every option", "a worker on each GPU", "fewer workers than GPUs"],
)
def test_the_archive_that_is_built_has_the_options(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], gpus: int, packing: WorkerOptions
) -> None:
    """As far as the start, in whose place the archive is looked into."""
    monkeypatch.setattr("zfnet_explainer.commands.serve.visible_gpus", lambda: gpus)

    def start(archive: Path, run_dir: Path, where: ServerOptions, _: object) -> NoReturn:
        assert archive == run_dir / "zfnet.mar"
        with zipfile.ZipFile(archive) as built:
            config = built.read(MODEL_CONFIG).decode()
        assert config == model_config(replace(packing, max_response_bytes=MAX_ANSWER_BYTES))
        assert where == replace(options, model="flowers", gpus=gpus, allowed_origin=packing.allowed_origin)
        raise ServingError("enough")

    monkeypatch.setattr("zfnet_explainer.commands.serve.running_server", start)
    options = ServerOptions.on_free_ports()
    weights = tmp_path / "flowers.safetensors"
    weights.write_bytes(b"weights")
    record = {"name": "flowers", "weights_sha256": hashlib.sha256(b"weights").hexdigest()}
    weights.with_suffix(".json").write_text(json.dumps(record))
    assert refusal("serve", *serve_arguments(tmp_path, options), "--weights", weights, *arguments) == "error: enough"


def test_the_server_is_told_where_to_listen_whom_to_let_in_and_where_to_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the options of the image, whose port nobody else would reach."""
    options = ServerOptions.on_free_ports()
    asked: list[tuple[Path, ServerOptions]] = []

    def start(_: Path, run_dir: Path, where: ServerOptions, __: object) -> NoReturn:
        asked.append((run_dir, where))
        raise ServingError("enough")

    monkeypatch.setattr("zfnet_explainer.commands.serve.running_server", start)
    line = ["--archive", str(tiny_archive(tmp_path / "tiny.mar")), "--host", "0.0.0.0", "--token", "--console-log"]  # noqa: S104
    assert refusal("serve", *serve_arguments(tmp_path, options), *line, "--model-name", "dogs") == "error: enough"
    where = replace(options, host="0.0.0.0", token=True, console=True, model="dogs")  # noqa: S104
    assert asked == [(tmp_path / "run", where)]


def test_a_clean_stop_is_one_where_its_last_word_cannot_be_written_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a full disk: who started it reads the exit code."""
    drained = Mock()
    full = Mock(side_effect=OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
    for name, what in (("running_server", MagicMock()), ("introduce", Mock()), ("drain", drained)):
        monkeypatch.setattr(f"zfnet_explainer.commands.serve.{name}", what)
    monkeypatch.setattr("zfnet_explainer.commands.serve.console.print", full)
    arguments = serve_arguments(tmp_path, ServerOptions.on_free_ports())
    done = CliRunner().invoke(app, ["serve", *arguments, "--archive", str(tiny_archive(tmp_path / "tiny.mar"))])
    assert (done.exit_code, drained.call_count, full.call_args.args) == (0, 1, ("stopped",))


@pytest.mark.parametrize("fault", [OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), SystemExit(1)], ids=repr)
def test_a_ready_server_outlives_its_reader(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: BaseException
) -> None:
    """As `serve | grep -m1 ready`, which waits for that line, or a log on a full disk."""
    told = Mock(side_effect=fault)
    monkeypatch.setattr("zfnet_explainer.commands.serve.console.print", told)
    with subprocess.Popen(["true"]) as process:
        introduce(RunningServer(process, RunFolder(tmp_path), ServerOptions()), 1, 1)
    assert told.call_count == 2


def test_a_folder_of_others_is_refused_before_an_archive_is_built_in_it(tmp_path: Path) -> None:
    options = ServerOptions.on_free_ports()
    run = tmp_path / "run"
    (run / "logs").mkdir(parents=True)
    (run / "zfnet.mar").write_bytes(b"mine")
    said = refusal("serve", *serve_arguments(tmp_path, options))
    assert "run has logs, which no server has made" in said
    assert (run / "zfnet.mar").read_bytes() == b"mine"


@pytest.mark.parametrize("nohup", [False, True])
def test_what_a_shell_has_ignored_is_heard_but_for_nohup(nohup: bool) -> None:
    """A shell's `&` has SIGINT ignored, `nohup` SIGHUP: that one says that the server is to stay."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    if not nohup:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
    _take_signals()
    heard = [signal.getsignal(number) is signal.default_int_handler for number in SIGNALS]
    assert heard == [True, True, not nohup]


def test_gpus_are_found_by_nvidia_smi_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    said = refusal("serve", *serve_arguments(tmp_path, ServerOptions.on_free_ports()), "--device", "cuda")
    assert "nvidia-smi, which must be on the PATH" in said


def test_an_archive_that_lets_pages_in_is_not_served_with_keys(tmp_path: Path) -> None:
    archive = tiny_archive(tmp_path / "tiny.mar", config="explainer: {allowed_origin: 'https://d.example'}\n")
    options = replace(ServerOptions.on_free_ports(), token=True)
    said = refusal("serve", *serve_arguments(tmp_path, options), "--archive", archive)
    assert said.startswith("error: pages of https://d.example cannot send the key")


@pytest.mark.parametrize("name", ["a,b=c.mar", "../x"])
def test_a_name_that_cannot_stand_in_a_path_is_refused(tmp_path: Path, name: str) -> None:
    arguments = serve_arguments(tmp_path, ServerOptions.on_free_ports())
    said = refusal("serve", *arguments, "--archive", tiny_archive(tmp_path / "tiny.mar"), "--model-name", name)
    make = "letters, digits and . _ - make a name, the first a letter or a digit"
    assert said == f"error: --model-name: {name!r} cannot stand in URLs: {make}"


@pytest.mark.parametrize("token", [False, True])
def test_the_printed_commands_work_in_a_folder_with_a_blank_and_quotes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], token: bool
) -> None:
    """A shell runs them, with a curl that tells what it was given."""
    here = tmp_path / 'my friend\'s "net" for $0'
    picture = here / "a dog.jpg"
    here.mkdir()
    picture.touch()
    monkeypatch.setattr("zfnet_explainer.commands.serve.SAMPLES", here)
    folder = RunFolder(here / "run")
    folder.root.mkdir()
    folder.key_file.write_text('{"inference": {"key": "k3y"}}')
    curl = tmp_path / "curl"
    curl.write_text("#!/bin/sh\nprintf '%s|' \"$@\"\necho\n")
    curl.chmod(0o755)
    options = ServerOptions(token=token)
    with subprocess.Popen(["true"]) as process:
        introduce(RunningServer(process, folder, options), 1, 1)
    commands = "\n".join(line for line in capsys.readouterr().out.splitlines() if line.startswith("  "))
    path = os.pathsep.join([str(tmp_path), os.environ["PATH"]])
    ran = subprocess.run(["sh", "-euc", commands], env=os.environ | {"PATH": path}, capture_output=True, text=True)
    key = "-H|Authorization: Bearer k3y|" if token else ""
    explanations = f"{options.inference_url}/explanations/zfnet|"
    assert (ran.stdout.splitlines(), ran.stderr) == (
        [
            f"{key}-T|{picture}|{options.inference_url}/predictions/zfnet|",
            f"{key}-F|data=@{picture}|-o|explained.json|{explanations}",
            f"{key}-F|data=@{picture}|-F|format=png|-o|explained.png|{explanations}",
        ],
        "",
    )


def test_package_without_weights_is_one_line(tmp_path: Path) -> None:
    said = refusal("package", "--weights", tmp_path / "none.safetensors", "--out", tmp_path / "zfnet.mar")
    assert said.startswith("error: cannot read the weights")
    assert not (tmp_path / "zfnet.mar").exists()
