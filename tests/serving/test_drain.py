"""SIGTERM with requests in flight: `zfnet-explainer serve` with a real TorchServe answers them, and then ends."""

import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from zfnet_explainer.serving.activity import IN_PROGRESS
from zfnet_explainer.serving.config import ServerOptions
from zfnet_explainer.wire import metrics

from .archives import tiny_archive, waiting_archive
from .test_health import ask
from .test_serve_command import processes_of, serve, started

SETTLE_S = 1


@dataclass
class Serving:
    """`zfnet-explainer serve`, and threads that ask it."""

    process: subprocess.Popen[str]
    output: str
    options: ServerOptions
    threads: ThreadPoolExecutor
    go: Path

    def asked(self, call: str, body: str) -> Future[httpx.Response]:
        url = f"{self.options.inference_url}/v1/models/figure-7:{call}"
        return self.threads.submit(httpx.post, url, content=body, timeout=60, trust_env=False)

    def explaining(self) -> Future[httpx.Response]:
        """An explanation that the worker has begun; it is answered once `go` is there."""
        answer = self.asked("explain", str(self.go))
        until(lambda: self.go.with_name("go.started").exists() or answer.done())
        return answer

    def waiting(self) -> int:
        """How many requests TorchServe has in its queue."""
        described = httpx.get(f"{self.options.management_url}/models/figure-7", trust_env=False)
        found: int = described.json()[0]["jobQueueStatus"]["pendingRequests"]
        return found

    def ended(self) -> tuple[int, str, str]:
        """Exit code, the rest of the output, errors."""
        rest, errors = self.process.communicate(timeout=60)
        return self.process.returncode, rest, errors


@contextmanager
def serving(folder: Path, *arguments: str) -> Iterator[Serving]:
    """A server of the handler whose explanations wait, stopped after the test at the latest."""
    options = ServerOptions.on_free_ports()
    # As KServe appends them to an explainer's arguments.
    appended = ["--model_name", "figure-7", "--predictor_host", "p.default", "--http_port", str(options.port)]
    archive = waiting_archive(folder / "waiting.mar")
    line = serve(folder, options, "--archive", archive, "--settle-seconds", str(SETTLE_S), *arguments)
    with ThreadPoolExecutor() as threads, started([*line, *appended], until="Ctrl-C") as (process, output):
        one = Serving(process, output, options, threads, folder / "go")
        try:
            yield one
        finally:
            one.go.touch()
    assert processes_of(folder) == []


def until(condition: Callable[[], bool]) -> None:
    while not condition():
        time.sleep(0.01)


def test_requests_in_flight_are_answered(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        explanation = server.explaining()
        assert ask(tmp_path / "run", "ready") == (0, "")
        bodies = [f"picture {i}" for i in range(5)]
        predictions = [server.asked("predict", body) for body in bodies]
        until(lambda: server.waiting() == 5)

        server.process.send_signal(signal.SIGTERM)
        until((tmp_path / "run" / "leaving").exists)
        assert ask(tmp_path / "run", "ready") == (1, "not ready: the server is about to stop\n")
        assert ask(tmp_path / "run", "alive") == (0, "")
        predictions.append(server.asked("predict", "late"))  # from who has not noticed yet
        time.sleep(3 * SETTLE_S)
        assert server.process.poll() is None, "nobody has asked for long, but answers are due"

        server.go.touch()
        answers = [explanation.result(), *(prediction.result() for prediction in predictions)]
        assert [answer.status_code for answer in answers] == 7 * [200]
        assert [answer.text for answer in answers] == [str(server.go), *bodies, "late"]
        code, rest, errors = server.ended()
    assert (code, errors, rest.splitlines()[-1]) == (0, "", "stopped")


def test_an_answer_that_does_not_come_in_time_is_an_error(tmp_path: Path) -> None:
    with serving(tmp_path, "--drain-seconds", "2", "--console-log") as server:
        server.explaining()
        server.asked("predict", "behind it")
        until(lambda: server.waiting() == 1)
        server.process.send_signal(signal.SIGTERM)
        code, rest, errors = server.ended()
    assert "MODEL_LOG - a worker says this\n" in server.output + rest
    assert (code, errors) == (1, "error: 2 requests were not answered within 2 s of SIGTERM\n")


def test_a_second_sigterm_waits_no_longer(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        server.explaining()
        server.process.send_signal(signal.SIGTERM)
        until((tmp_path / "run" / "leaving").exists)
        server.process.send_signal(signal.SIGTERM)
        code, _, errors = server.ended()
    assert (code, errors) == (0, "")


def test_what_the_drain_reads_is_what_the_handler_tells() -> None:
    assert metrics.progress_sample(1, "9000").metric.name == IN_PROGRESS


@pytest.mark.parametrize("name", ["a,b=c.mar", "../x"])
def test_a_name_that_cannot_stand_in_a_path_is_refused(tmp_path: Path, name: str) -> None:
    archive = tiny_archive(tmp_path / "tiny.mar")
    line = serve(tmp_path, ServerOptions.on_free_ports(), "--archive", archive, "--model-name", name)
    done = subprocess.run(line, capture_output=True, text=True, timeout=30)  # noqa: S603
    assert (done.returncode, done.stderr) == (
        1,
        f"error: --model-name {name!r}: letters, digits and . _ - make a name\n",
    )
