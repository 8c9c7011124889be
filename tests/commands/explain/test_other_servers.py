"""`zfnet-explainer explain --url` at what is no server of ours, or not where it answers itself."""

from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest
import typer

from zfnet_explainer.commands.connection import named
from zfnet_explainer.commands.explain import explain
from zfnet_explainer.commands.remote import check_url
from zfnet_explainer.torchserve.ports import LOOPBACK

from ...deploy.upstream import Reply, Upstream, torchserve_error
from .explaining import explained, files, is_explanation, said

PAGE = Reply(200, "text/html", b"<html>a page</html>")


def only_line(folder: Path, url: str, capsys: pytest.CaptureFixture[str]) -> str:
    """What a run says that ends with 1 and writes nothing."""
    out = folder.with_name("out")
    with pytest.raises(typer.Exit) as ended:
        explain([folder], out, url=url)
    assert ended.value.exit_code == 1
    assert files(out) == {}
    [line] = said(capsys)
    return line


@pytest.mark.parametrize(
    "reply",
    [
        PAGE,
        Reply(200, "application/json", b"no JSON"),
        Reply(200, "application/json", b"[]"),
        Reply(200, "application/json", b'{"model": "zfnet"}'),
        Reply(200, "application/json", b'{"model": {"weights_sha256": 1}}'),
        Reply(400, "text/html", b"The plain HTTP request was sent to HTTPS port"),
        Reply(405, "text/html", b"Not Allowed"),
        torchserve_error(405, "MethodNotAllowedException"),
        Reply(501, "text/html", b"Unsupported method ('POST')"),
    ],
    ids=lambda reply: f"{reply.status} {reply.body[:20]!r}",
)
def test_another_server_ends_the_run_at_once(
    folder: Path, upstream: Upstream, capsys: pytest.CaptureFixture[str], reply: Reply
) -> None:
    upstream.reply = reply
    line = only_line(folder, f"http://{upstream.address}", capsys)
    assert line == f"http://{upstream.address} answers ({reply.status}), but is no server of ours: check --url"
    assert len(upstream.seen) == 1


@pytest.mark.parametrize("page", [PAGE, Reply(200, None, b""), Reply()], ids=["HTML", "of no type", "JSON"])
def test_an_explanation_in_another_format_than_asked_for_is_not_kept(
    folder: Path, upstream: Upstream, capsys: pytest.CaptureFixture[str], page: Reply
) -> None:
    upstream.reply = lambda form: page if is_explanation(form) else explained(form)
    assert "is no server of ours: check --url" in only_line(folder, f"http://{upstream.address}", capsys)


def test_a_format_may_have_parameters(folder: Path, tmp_path: Path, upstream: Upstream) -> None:
    html = Reply(200, "text/HTML; charset=utf-8", b"a report")
    upstream.reply = lambda form: html if is_explanation(form) else explained(form)
    explain([folder], tmp_path / "out", ["format=html"], url=f"http://{upstream.address}")
    assert files(tmp_path / "out")["a.png.html"] == b"a report"


@pytest.mark.parametrize("status", [413, 500], ids=["a proxy's limit", "a proxy's failure"])
def test_what_a_proxy_says_of_a_picture_ends_no_run(
    folder: Path, tmp_path: Path, upstream: Upstream, status: int
) -> None:
    """In its own words, which are not the contract's."""
    said_first = Reply(status, "text/html", b"<html></html>")
    upstream.reply = lambda form: said_first if len(upstream.seen) == 1 else explained(form)
    explain([folder], tmp_path / "out", url=f"http://{upstream.address}")
    assert {f"{path}.png" for path in files(folder)} <= files(tmp_path / "out").keys()


@pytest.fixture
def redirecting() -> Iterator[Callable[[int, str | None], str]]:
    """A server that answers with a status and a Location: its address."""
    told: list[tuple[int, str | None]] = []

    class Elsewhere(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            status, location = told[-1]
            self.send_response_only(status)
            if location is not None:
                self.send_header("location", location)
            self.send_header("content-length", "0")
            self.end_headers()

    with HTTPServer((LOOPBACK, 0), Elsewhere) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()

        def answer(status: int, location: str | None) -> str:
            told.append((status, location))
            return f"http://{LOOPBACK}:{server.server_port}"

        yield answer
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("status", "location", "elsewhere"),
    [
        (301, "https://gateway.example.com/predictions/zfnet", "https://gateway.example.com/predictions/zfnet"),
        (307, "https://user:secret@gateway.example.com/", "https://gateway.example.com/"),
        (308, None, "no address"),
    ],
)
def test_a_server_that_sends_elsewhere_ends_the_run_and_says_where(
    folder: Path, capsys: pytest.CaptureFixture[str], redirecting: Callable[[int, str | None], str],
    status: int, location: str | None, elsewhere: str,
) -> None:  # fmt: skip
    url = redirecting(status, location)
    assert only_line(folder, url, capsys) == (
        f"{url} takes no picture ({status}) and sends to {elsewhere}: --url names a server where it answers itself"
    )


@pytest.mark.parametrize("host", ["127.0.0.1:1", "user:secret@127.0.0.1:1"])
def test_a_password_is_not_told(folder: Path, capsys: pytest.CaptureFixture[str], host: str) -> None:
    line = only_line(folder, f"http://{host}", capsys)
    assert line.startswith("no answer from http://127.0.0.1:1 (")


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("https://user:secret@a.example:8443/x", "https://a.example:8443/x"),
        ("user:secret@a.example", "a.example"),
        ("https://a.example/u@x", "https://a.example/u@x"),
        ("https://a.example/login?hint=me@b.example&x=1", "https://a.example/login?hint=me@b.example&x=1"),
        ("https://user:secret@a.example:x/y", "https://a.example:x/y"),
        ("https://a@b@c.example", "https://c.example"),
    ],
)
def test_an_address_is_named_without_who_asks(url: str, told: str) -> None:
    assert named(url) == told


@pytest.mark.parametrize("password", ["geheim#1", "ge/heim", "ge?heim@x", "a:geheim"])
def test_no_part_of_a_password_is_told_of_an_address_that_is_none(password: str) -> None:
    with pytest.raises(typer.BadParameter) as refused:
        check_url(f"http://admin:{password}@a.example:x")
    assert "heim" not in refused.value.message
    assert "a.example:x" in refused.value.message
