"""The other ways in which `zfnet-explainer serve` ends: each says how it went, and leaves no process behind."""

import os
import re
import signal
import time
from concurrent.futures import Future
from pathlib import Path

import httpx
import psutil
import pytest

from zfnet_explainer.torchserve.config import ServerOptions
from zfnet_explainer.torchserve.errors import ServingError
from zfnet_explainer.torchserve.run_folder import claimed

from ..waiting import PATIENCE_S, wait_for
from .archives import tiny_archive
from .running import processes_of, serve, serving, started

pytestmark = pytest.mark.slow


def lost(answer: Future[httpx.Response]) -> bool:
    """Whether a request's connection broke before its answer."""
    return isinstance(answer.exception(PATIENCE_S), httpx.TransportError)


def preflight(options: ServerOptions, origin: str) -> httpx.Response:
    """The answer to a browser that asks beforehand whether a page of this origin may ask."""
    headers = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    url = f"{options.inference_url}/predictions/zfnet"
    return httpx.options(url, headers=headers, timeout=PATIENCE_S, trust_env=False)


def test_a_frontend_that_is_killed_can_be_started_in_the_same_place(tmp_path: Path) -> None:
    options = ServerOptions.on_free_ports()
    with serving(tmp_path, options) as first:
        explanation = first.explaining()
        os.kill(first.java(), signal.SIGKILL)
        since = time.monotonic()
        code, _, errors = first.ended()
        assert lost(explanation)
        assert processes_of(tmp_path) == [], "its worker is ended too"
    assert code == 1
    assert errors.startswith("error: TorchServe was killed by signal 9")

    with serving(tmp_path, options, config="explainer: {allowed_origin: 'https://a.example'}\n") as second:
        assert second.asked("predict", "picture").result().text == "picture"
        print(f"fault: frontend killed (without torch): served again after {time.monotonic() - since:.1f} s")
        assert re.search(rf"curl -T \S+\.jpg {options.inference_url}/predictions/zfnet\n", second.output)
        assert str(second.folder.logs) in second.output
        told = preflight(options, "https://a.example")
        assert (told.status_code, told.headers["access-control-allow-origin"]) == (200, "https://a.example")
        assert "POST" in told.headers["access-control-allow-methods"]
        second.process.send_signal(signal.SIGINT)
        code, rest, errors = second.ended()
    assert (code, errors, rest.splitlines()[-1]) == (0, "", "stopped")
    options.check_ports()


def test_what_a_killed_command_leaves_running_keeps_its_folder(tmp_path: Path) -> None:
    with serving(tmp_path, ServerOptions.on_free_ports()) as server:
        java = psutil.Process(server.java())
        server.process.kill()
        server.ended()
        taken = rf"another server runs in .*run \(TorchServe is process {java.pid}\): stop it"
        with pytest.raises(ServingError, match=taken), claimed(tmp_path / "run"):
            pytest.fail("TorchServe still answers from it")
        assert server.asked("predict", "picture").result().text == "picture"
        os.killpg(java.pid, signal.SIGKILL)
        java.wait(PATIENCE_S)
        wait_for(lambda: processes_of(tmp_path) == [], "a worker lives on")
    with claimed(tmp_path / "run"):
        pass


def test_an_answer_that_does_not_come_in_time_is_an_error(tmp_path: Path) -> None:
    with serving(tmp_path, ServerOptions.on_free_ports(), "--drain-seconds", "2", "--console-log") as server:
        answers = [server.explaining(), server.asked("predict", "behind it")]
        wait_for(lambda: server.waiting() == 1, "the prediction does not wait behind the explanation")
        server.process.send_signal(signal.SIGTERM)
        code, rest, errors = server.ended()
        assert all(map(lost, answers))
    assert "MODEL_LOG - a worker says this\n" in server.output + rest
    assert (code, errors) == (1, "error: 2 requests were not answered within 2 s of SIGTERM\n")


def test_a_second_sigterm_waits_no_longer(tmp_path: Path) -> None:
    with serving(tmp_path, ServerOptions.on_free_ports()) as server:
        explanation = server.explaining()
        server.process.send_signal(signal.SIGTERM)
        wait_for(server.folder.leaving.exists, "nobody is told that the server is about to stop")
        server.process.send_signal(signal.SIGTERM)
        code, _, errors = server.ended()
        assert lost(explanation)
    assert (code, errors) == (0, "")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=["SIGTERM", "a terminal that closes"])
def test_a_signal_while_starting_leaves_nothing(tmp_path: Path, number: signal.Signals) -> None:
    options = ServerOptions.on_free_ports()
    line = serve(tmp_path, options, "--archive", tiny_archive(tmp_path / "tiny.mar"))
    with started(line, until="starting TorchServe") as (process, _):
        process.send_signal(number)
        rest, errors = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, errors, rest.splitlines()[-1]) == (0, "", "stopped")
    assert processes_of(tmp_path) == []
