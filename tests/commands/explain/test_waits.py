"""`zfnet-explainer explain --url` at a server that is busy, starts anew, goes away, or was never there."""

import re
import socket
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import typer

from zfnet_explainer.commands.connection import connected
from zfnet_explainer.commands.explain import explain
from zfnet_explainer.commands.remote import LONGEST_WAIT_S, TRIES_GONE, WAIT_S
from zfnet_explainer.torchserve.config import RESPONSE_TIMEOUT_S
from zfnet_explainer.torchserve.ports import LOOPBACK

from ...deploy.upstream import Reply, Upstream, torchserve_error
from .explaining import explained, files, is_explanation, said


def test_a_busy_server_is_asked_again(folder: Path, tmp_path: Path, upstream: Upstream, waits: list[float]) -> None:
    def busy_twice(form: bytes) -> Reply:
        return Reply(503, body=b"{}") if len(upstream.seen) in (1, 3) else explained(form)

    upstream.reply = busy_twice
    explain([folder / "a.png"], tmp_path / "out", url=f"http://{upstream.address}", token="secret")  # noqa: S106
    assert (waits, len(upstream.seen)) == ([WAIT_S, WAIT_S], 4)
    assert {seen.headers["authorization"] for seen in upstream.seen} == {"Bearer secret"}


@pytest.mark.parametrize("status", [429, 503])
def test_a_server_that_stays_busy_has_failed(
    folder: Path, tmp_path: Path, upstream: Upstream, waits: list[float], status: int
) -> None:
    upstream.reply = Reply(status, body=b"{}")
    with pytest.raises(typer.Exit) as ended:
        explain([folder / "a.png"], tmp_path / "out", url=f"http://{upstream.address}")
    assert ended.value.exit_code == 1
    assert set(waits) == {WAIT_S}


def test_an_explanation_is_waited_for_as_long_as_a_server_may_take() -> None:
    with connected("http://127.0.0.1:1", {}, None) as client:
        assert client.timeout.read is not None
        assert client.timeout.read > RESPONSE_TIMEOUT_S, "it answers by then, if only that it took too long"


DATE = "Wed, 21 Oct 2026 07:28:00 GMT"


@pytest.mark.parametrize(
    ("retry_after", "seconds"),
    [
        ("7", 7),
        ("0", 1),
        ("9999999", LONGEST_WAIT_S),
        ("Wed, 21 Oct 2026 07:28:40 GMT", 40),
        ("Wed, 21 Oct 2026 06:00:00 GMT", 1),
        ("Thu, 21 Oct 2027 07:28:00 GMT", LONGEST_WAIT_S),
        ("-1", WAIT_S),
        ("soon", WAIT_S),
    ],
)
def test_what_retry_after_says(
    folder: Path, tmp_path: Path, waits: list[float], retry_after: str, seconds: int
) -> None:
    """A date is by the clock of the server, which is not that of the client."""

    class BusyOnce(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            reply = explained(self.rfile.read(int(self.headers["content-length"])))
            self.send_response_only(200 if waits else 503)
            self.send_header("date", DATE)
            self.send_header("retry-after", retry_after)
            self.send_header("content-type", f"{reply.content_type}")
            self.send_header("content-length", str(len(reply.body)))
            self.end_headers()
            self.wfile.write(reply.body)

    with HTTPServer((LOOPBACK, 0), BusyOnce) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}).start()
        try:
            explain([folder / "a.png"], tmp_path / "out", url=f"http://{LOOPBACK}:{server.server_port}")
        finally:
            server.shutdown()
    assert waits == [seconds]


def test_a_server_that_is_not_there_ends_the_run_at_once(
    folder: Path, tmp_path: Path, waits: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server((LOOPBACK, 0)) as free:
        url = f"http://{LOOPBACK}:{free.getsockname()[1]}"
    with pytest.raises(typer.Exit) as ended:
        explain([folder], tmp_path / "out", url=url)
    assert (ended.value.exit_code, waits) == (1, [])
    [line] = said(capsys)
    assert re.fullmatch(rf"no answer from {url} \(.+\): is the server running\?", line)
    assert files(tmp_path / "out") == {}


def test_a_server_that_goes_away_ends_the_run_after_a_few_tries(
    folder: Path, tmp_path: Path, upstream: Upstream, waits: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    def gone_after_two(form: bytes) -> Reply:
        return explained(form) if len(upstream.seen) <= 1 + 2 else Reply(status=None)

    upstream.reply = gone_after_two
    url = f"http://{upstream.address}"
    with pytest.raises(typer.Exit) as ended:
        explain([folder], tmp_path / "out", url=url)
    assert (ended.value.exit_code, waits) == (1, [WAIT_S] * (TRIES_GONE - 1))
    assert len(upstream.seen) == 1 + 2 + TRIES_GONE
    assert re.fullmatch(
        rf"{url} does not answer any more \(.+\): started again, this command goes on where it was", said(capsys)[-1]
    )
    before = files(tmp_path / "out")
    assert len(before) == 2 + 1
    upstream.reply = explained
    explain([folder], tmp_path / "out", url=url)
    assert before.items() <= files(tmp_path / "out").items()
    assert len(files(tmp_path / "out")) == 7 + 1


def test_a_dropped_connection_costs_a_wait(
    folder: Path, tmp_path: Path, upstream: Upstream, waits: list[float]
) -> None:
    def dropped_once(form: bytes) -> Reply:
        return explained(form) if len(upstream.seen) != 3 else Reply(status=None)

    upstream.reply = dropped_once
    explain([folder], tmp_path / "out", url=f"http://{upstream.address}")
    assert (waits, len(files(tmp_path / "out"))) == ([WAIT_S], 7 + 1)


def test_a_model_that_is_not_there_ends_the_run_at_once(
    folder: Path, tmp_path: Path, upstream: Upstream, waits: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    upstream.reply = torchserve_error(404, "ModelNotFoundException")
    with pytest.raises(typer.Exit) as ended:
        explain([folder], tmp_path / "out", url=f"http://{upstream.address}")
    assert (ended.value.exit_code, waits, len(upstream.seen)) == (1, [], 1)
    assert "takes no picture (404): it has no model 'zfnet'" in said(capsys)[-1]


def test_another_model_is_asked_by_its_name(folder: Path, tmp_path: Path, upstream: Upstream) -> None:
    explain([folder / "a.png"], tmp_path / "out", url=f"http://{upstream.address}", model="flowers")
    assert [seen.path for seen in upstream.seen] == ["/predictions/flowers", "/explanations/flowers"]


def test_a_picture_that_came_too_slowly_is_worth_another_run(
    folder: Path, tmp_path: Path, upstream: Upstream, waits: list[float]
) -> None:
    """The gateway says 408 then: the picture was not refused, which 65 would say."""
    upstream.reply = lambda form: Reply(408, body=b"{}") if is_explanation(form) else explained(form)
    with pytest.raises(typer.Exit) as ended:
        explain([folder / "a.png"], tmp_path / "out", url=f"http://{upstream.address}")
    assert (ended.value.exit_code, waits) == (1, [])


@pytest.mark.parametrize("status", [404, 502, 503])
def test_a_server_that_starts_anew_costs_waits(
    folder: Path, tmp_path: Path, upstream: Upstream, waits: list[float], status: int
) -> None:
    def starting(form: bytes) -> Reply:
        return explained(form) if len(upstream.seen) not in (3, 4) else Reply(status)

    upstream.reply = starting
    explain([folder], tmp_path / "out", url=f"http://{upstream.address}")
    assert (waits, len(files(tmp_path / "out"))) == ([WAIT_S] * 2, 7 + 1)


def test_a_model_that_stays_away_ends_the_run(
    folder: Path, tmp_path: Path, upstream: Upstream, waits: list[float]
) -> None:
    upstream.reply = lambda form: explained(form) if len(upstream.seen) <= 1 + 2 else Reply(404)
    with pytest.raises(typer.Exit) as ended:
        explain([folder], tmp_path / "out", url=f"http://{upstream.address}")
    assert (ended.value.exit_code, waits) == (1, [WAIT_S] * (TRIES_GONE - 1))
