"""`zfnet-explainer serve` and `package` as a person or a supervisor runs them."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from zfnet_explainer.serving.config import ServerOptions

from .archives import tiny_archive


def command(name: str, *arguments: str | Path) -> list[str]:
    """The command line of one of the commands, independent of what is installed as a script."""
    run = f"import typer; from zfnet_explainer.commands.{name} import {name}; typer.run({name})"
    return [sys.executable, "-c", run, *map(str, arguments)]


def serve(folder: Path, options: ServerOptions, *arguments: str | Path) -> list[str]:
    """The command line of a server on these ports, its run folder in `folder`."""
    ports = {
        "--port": options.port,
        "--management-port": options.management_port,
        "--metrics-port": options.metrics_port,
    }
    given = [text for option, port in ports.items() for text in (option, str(port))]
    return command("serve", "--device", "cpu", "--run-dir", folder / "run", *given, *arguments)


def processes_of(folder: Path) -> list[str]:
    """Command lines of the processes that were given a path in the folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # it has ended meanwhile
            found.append(path.read_text().replace("\0", " "))
    return [line for line in found if str(folder) in line]


@contextmanager
def started(line: list[str], until: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The running command and its output up to and with the line that contains `until`."""
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:  # noqa: S603
        assert process.stdout is not None
        output = ""
        try:
            for text in process.stdout:
                output += text
                if until in text:
                    break
            assert until in output, process.communicate()[1]
            yield process, output
        finally:
            process.terminate()


def test_says_what_to_do_and_stops_on_ctrl_c(tmp_path: Path) -> None:
    options = ServerOptions.on_free_ports()
    line = serve(tmp_path, options, "--archive", tiny_archive(tmp_path / "tiny.mar"))
    with started(line, until="Ctrl-C") as (process, output):
        assert re.search(rf"curl -T \S+\.jpg {options.inference_url}/predictions/zfnet\n", output)
        assert str(tmp_path / "run" / "logs") in output
        assert httpx.post(f"{options.inference_url}/explanations/zfnet", content=b"x").text == "ok"
        process.send_signal(signal.SIGINT)
        rest, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (0, "")
    assert rest.splitlines()[-1] == "stopped"
    assert processes_of(tmp_path) == []
    options.check_ports()


def test_a_server_that_dies_is_an_error(tmp_path: Path) -> None:
    options = ServerOptions.on_free_ports()
    line = serve(tmp_path, options, "--archive", tiny_archive(tmp_path / "tiny.mar"), "--token")
    with started(line, until="Ctrl-C") as (process, output):
        assert 'curl -H "Authorization: Bearer $KEY" -T' in output
        (java,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        os.kill(int(java), signal.SIGKILL)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 1
    assert errors.startswith("error: TorchServe was killed by signal 9")
    assert processes_of(tmp_path) == [], "its worker is ended too"


def test_a_new_key_comes_from_where_it_says(tmp_path: Path) -> None:
    options = ServerOptions.on_free_ports()
    line = serve(tmp_path, options, "--archive", tiny_archive(tmp_path / "tiny.mar"), "--token")

    def key(name: str) -> dict[str, str]:
        keys = json.loads((tmp_path / "run" / "key_file.json").read_text())
        return {"Authorization": f"Bearer {keys[name]['key']}"}

    def asked(headers: dict[str, str]) -> int:
        return httpx.post(f"{options.inference_url}/predictions/zfnet", content=b"x", headers=headers).status_code

    with started(line, until="Ctrl-C") as (_, output):
        (address,) = re.findall(r"GET (http\S+),", output)
        before = key("inference")
        assert asked(before) == 200
        assert httpx.get(address, headers=key("API")).status_code == 200
        assert (asked(before), asked(key("inference"))) == (400, 200)


def test_an_archives_origin_is_told_to_browsers_that_ask_beforehand(tmp_path: Path) -> None:
    options = ServerOptions.on_free_ports()
    archive = tiny_archive(tmp_path / "tiny.mar", config="explainer: {allowed_origin: 'https://a.example'}\n")
    with started(serve(tmp_path, options, "--archive", archive), until="Ctrl-C"):
        headers = {"Origin": "https://a.example", "Access-Control-Request-Method": "POST"}
        answer = httpx.options(f"{options.inference_url}/predictions/zfnet", headers=headers)
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == "https://a.example"
    assert "POST" in answer.headers["access-control-allow-methods"]


def test_sigterm_while_starting_leaves_nothing(tmp_path: Path) -> None:
    options = ServerOptions.on_free_ports()
    line = serve(tmp_path, options, "--archive", tiny_archive(tmp_path / "tiny.mar"))
    with started(line, until="starting TorchServe") as (process, _):
        process.send_signal(signal.SIGTERM)
        rest, errors = process.communicate(timeout=30)
    assert (process.returncode, errors, rest.splitlines()[-1]) == (0, "", "stopped")
    assert processes_of(tmp_path) == []


def test_a_taken_port_is_one_line(tmp_path: Path) -> None:
    options = ServerOptions.on_free_ports()
    line = serve(tmp_path, options, "--archive", tiny_archive(tmp_path / "tiny.mar"))
    with socket.create_server(("127.0.0.1", options.management_port)):
        done = subprocess.run(line, capture_output=True, text=True, timeout=30)  # noqa: S603
    assert done.returncode == 1
    assert done.stderr == f"error: port {options.management_port} is taken: choose another with --management-port\n"
    assert not (tmp_path / "run").exists(), "before anything is started"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--host", "0.0.0.0"], "--host 0.0.0.0 lets other machines in: ask for a key with --token, or say --open"),  # noqa: S104
        (["--weights", "nowhere.safetensors"], "cannot read the weights nowhere.safetensors"),
        (["--archive", "nowhere.mar"], "there is no archive nowhere.mar"),
        (
            ["--archive", "nowhere.mar", "--workers", "2"],
            "--workers, --batch-size, --weights and --allow-origin are fixed",
        ),
        (
            ["--archive", "nowhere.mar", "--allow-origin", "https://a.example"],
            "--workers, --batch-size, --weights and --allow-origin are fixed",
        ),
    ],
)
def test_what_cannot_be_served_is_one_line(tmp_path: Path, arguments: list[str], message: str) -> None:
    line = serve(tmp_path, ServerOptions.on_free_ports(), *arguments)
    done = subprocess.run(line, capture_output=True, text=True, timeout=30)  # noqa: S603
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {message}")
    assert done.stderr.count("\n") == 1


def test_package_without_weights_is_one_line(tmp_path: Path) -> None:
    line = command("package", "--weights", tmp_path / "none.safetensors", "--out", tmp_path / "zfnet.mar")
    done = subprocess.run(line, capture_output=True, text=True, timeout=30)  # noqa: S603
    assert done.returncode == 1
    assert done.stderr.startswith("error: cannot read the weights")
    assert not (tmp_path / "zfnet.mar").exists()
