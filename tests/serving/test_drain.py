"""SIGTERM under load: `zfnet-explainer serve` with a real TorchServe answers all who got through to it."""

import http.client
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import httpx

from zfnet_explainer.serving.config import ServerOptions

from .archives import tiny_archive
from .test_serve_command import processes_of, serve, started

# Answers the body; an explanation's body is a folder, and its answer waits there for the file `go`.
ECHO_OR_WAIT = """
        from pathlib import Path
        from time import sleep
        for i, row in enumerate(rows):
            if context.get_request_header(i, "explain") == "True":
                folder = Path(bytes(row["body"]).decode())
                (folder / "started").touch()
                while not (folder / "go").exists():
                    sleep(0.01)
        return [bytes(row["body"]) for row in rows]
"""


@dataclass
class Client:
    """Asks again as soon as it is answered, until its connection is refused."""

    name: str
    url: str
    kept_alive: bool
    answered: int = 0

    def run(self) -> None:
        """Raise whatever goes wrong but the refusal."""
        limits = httpx.Limits() if self.kept_alive else httpx.Limits(max_keepalive_connections=0)
        with httpx.Client(limits=limits, trust_env=False, timeout=60) as client:
            for number in count():
                body = f"{self.name} {number}".encode()
                try:
                    answer = client.post(self.url, content=body)
                except httpx.ConnectError:
                    return
                assert (answer.status_code, answer.content) == (200, body)
                self.answered += 1


def until(condition: Callable[[], bool]) -> None:
    while not condition():
        time.sleep(0.01)


def refused(options: ServerOptions) -> bool:
    try:
        socket.create_connection(("127.0.0.1", options.port), timeout=10).close()
    except ConnectionRefusedError:
        return True
    return False


def test_no_request_is_lost(tmp_path: Path) -> None:
    options = ServerOptions.on_free_ports()
    archive = tiny_archive(tmp_path / "tiny.mar", handle=ECHO_OR_WAIT)
    # As KServe appends them to an explainer's arguments.
    appended = ["--model_name", "figure-7", "--predictor_host", "p.default", "--http_port", str(options.port)]
    line = [*serve(tmp_path, options, "--archive", archive), *appended]
    url = f"http://127.0.0.1:{options.port}/v1/models/figure-7"
    clients = [Client(f"client {i}", f"{url}:predict", kept_alive=i % 2 == 0) for i in range(6)]
    with (
        ThreadPoolExecutor(len(clients) + 1) as threads,
        started(line, until="Ctrl-C") as (process, _),
    ):
        runs: list[Future[None]] = [threads.submit(client.run) for client in clients]
        until(lambda: all(client.answered >= 5 for client in clients) or any(run.done() for run in runs))
        explanation = threads.submit(
            httpx.post, f"{url}:explain", content=str(tmp_path).encode(), timeout=60, trust_env=False
        )
        until((tmp_path / "started").exists)  # and the predictions wait behind it
        process.send_signal(signal.SIGTERM)
        until(lambda: refused(options))
        assert (tmp_path / "run" / "leaving").exists()
        assert process.poll() is None
        (tmp_path / "go").touch()
        answer = explanation.result()
        assert (answer.status_code, answer.text) == (200, str(tmp_path))
        for run in runs:
            run.result()
        rest, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (0, "")
    assert rest.splitlines()[-1] == "stopped"
    assert processes_of(tmp_path) == []


def test_an_answer_that_does_not_come_in_time_is_an_error(tmp_path: Path) -> None:
    options = ServerOptions.on_free_ports()
    archive = tiny_archive(tmp_path / "tiny.mar", initialize="print('a worker says this')", handle=ECHO_OR_WAIT)
    line = serve(tmp_path, options, "--archive", archive, "--drain-seconds", "0.2", "--console-log")
    with started(line, until="Ctrl-C") as (process, output):
        asking = http.client.HTTPConnection("127.0.0.1", options.port, timeout=60)
        asking.request("POST", "/explanations/zfnet", str(tmp_path).encode())
        until((tmp_path / "started").exists)
        process.send_signal(signal.SIGTERM)
        rest, errors = process.communicate(timeout=30)
        asking.close()
    assert "MODEL_LOG - a worker says this\n" in output + rest
    assert process.returncode == 1
    assert errors == "error: 1 requests were not answered within 0.2 s of SIGTERM\n"
    assert processes_of(tmp_path) == []


def test_a_second_sigterm_waits_no_longer(tmp_path: Path) -> None:
    options = ServerOptions.on_free_ports()
    archive = tiny_archive(tmp_path / "tiny.mar", handle=ECHO_OR_WAIT)
    with started(serve(tmp_path, options, "--archive", archive), until="Ctrl-C") as (process, _):
        asking = http.client.HTTPConnection("127.0.0.1", options.port, timeout=60)
        asking.request("POST", "/explanations/zfnet", str(tmp_path).encode())
        until((tmp_path / "started").exists)
        process.send_signal(signal.SIGTERM)
        until(lambda: refused(options))
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=30)
        asking.close()
    assert (process.returncode, errors) == (0, "")
    assert processes_of(tmp_path) == []


def test_a_name_that_cannot_stand_in_a_path_is_refused(tmp_path: Path) -> None:
    archive = tiny_archive(tmp_path / "tiny.mar")
    line = serve(tmp_path, ServerOptions.on_free_ports(), "--archive", archive, "--model-name", "a,b=c.mar")
    done = subprocess.run(line, capture_output=True, text=True, timeout=30)  # noqa: S603
    assert (done.returncode, done.stderr) == (
        1,
        "error: --model-name 'a,b=c.mar': letters, digits and . _ - make a name\n",
    )
