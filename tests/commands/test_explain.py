"""`zfnet-explainer explain` on folders: parts that make a whole, runs that go on, exit codes."""

import hashlib
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import typer

from zfnet_explainer.commands.bulk import MADE_WITH, claim
from zfnet_explainer.commands.explain import explain
from zfnet_explainer.commands.remote import PROBES, TRIES_GONE, WAIT_S
from zfnet_explainer.torchserve.config import LOOPBACK

from ..deploy.upstream import Reply, Upstream, running_upstream, torchserve_error
from ..samples import encoded, noise
from ..served import RECORD, service
from ..waiting import PATIENCE_S

BROKEN = b"no picture"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Seven pictures, two of a name in different folders."""
    for i, name in enumerate(["a.png", "b.jpg", "c.png", "d.png", "cats/a.png", "cats/deep/x.png", "dogs/y y.png"]):
        path = tmp_path / "pictures" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(noise(60, 70, seed=i), "JPEG" if path.suffix == ".jpg" else "PNG"))
    return tmp_path / "pictures"


def explained(form: bytes, weights: str = "ab" * 32) -> Reply:
    """A prediction, or an answer that differs by picture, or the refusal of a broken one."""
    if BROKEN in form:
        return Reply(415, body=b'{"error": {"code": "unsupported_image"}}')
    if not is_explanation(form):
        return Reply(body=json.dumps({"model": {"weights_sha256": weights}}).encode())
    picture = form.partition(b"\x89PNG")[2] or form.partition(b"\xff\xd8")[2]
    return Reply(200, "image/png", hashlib.sha256(picture.partition(b"\r\n--")[0]).digest())


def is_explanation(form: bytes) -> bool:
    """Its options have a format always; a prediction is asked for without options."""
    return b'name="format"' in form


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that are waited for from now on, in no time."""
    waited: list[float] = []
    monkeypatch.setattr(time, "sleep", waited.append)
    return waited


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "*")


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    """A server to ask."""
    with running_upstream() as running:
        running.reply = explained
        yield running


def files(out: Path) -> dict[str, bytes]:
    """Content by path."""
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in out.rglob("*") if path.is_file()}


def test_the_parts_together_are_one_run(folder: Path, tmp_path: Path, upstream: Upstream) -> None:
    url = f"http://{upstream.address}"
    explain([folder], tmp_path / "whole", url=url)
    for i in range(2):
        explain([folder], tmp_path / f"part{i}", shard=f"{i}/2", url=url)
        explain([folder], tmp_path / "together", shard=f"{i}/2", url=url)
    whole, parts = files(tmp_path / "whole"), [files(tmp_path / f"part{i}") for i in range(2)]
    assert {path.relative_to(folder).as_posix() + ".png" for path in folder.rglob("*.*")} | {MADE_WITH} == set(whole)
    assert len(set(whole.values())) == 8
    assert files(tmp_path / "together") == parts[0] | parts[1] == whole
    assert set(parts[0]) & set(parts[1]) == {MADE_WITH}
    assert all(len(part) > 1 for part in parts), "seven pictures leave neither part empty"


def test_what_is_computed_here_is_noted_with_its_weights(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zfnet_explainer.commands.local.local_service", lambda *_: service())
    options = ["methods=deconv", "features=1", "format=json", "images=false"]
    explain([folder / "a.png"], tmp_path / "out", options)
    made_with = json.loads((tmp_path / "out" / MADE_WITH).read_text())
    assert made_with["weights_sha256"] == RECORD.weights_sha256
    found = json.loads((tmp_path / "out" / "a.png.json").read_text())
    assert found["image"]["crop"] == {"top": 0, "left": 5, "height": 60, "width": 60}


def test_a_new_picture_moves_no_other(folder: Path, tmp_path: Path, upstream: Upstream) -> None:
    explain([folder], tmp_path / "before", shard="1/3", url=f"http://{upstream.address}")
    before = {path.name for path in (tmp_path / "before").rglob("*.png.png")}
    (folder / "0.png").write_bytes(b"")
    explain([folder], tmp_path / "after", shard="1/3", url=f"http://{upstream.address}")
    assert before <= {path.name for path in (tmp_path / "after").rglob("*.png.png")}


def test_a_run_goes_on_where_it_was(folder: Path, tmp_path: Path, upstream: Upstream) -> None:
    def run() -> None:
        explain([folder], tmp_path / "out", url=f"http://{upstream.address}")

    upstream.reply = Reply(500, body=b'{"error": {}}')
    with pytest.raises(typer.Exit) as ended:
        run()
    assert ended.value.exit_code == 1
    upstream.reply = Reply(200, "image/png", b"an explanation")
    run()
    (tmp_path / "out" / "cats" / "a.png.png").unlink()
    upstream.reply = Reply(200, "image/png", b"another explanation")
    run()
    asked = [seen.path for seen in upstream.seen]
    assert asked.count("/explanations/zfnet") == 7 + 7 + 1, "only what is missing is asked for"
    assert asked.count("/predictions/zfnet") == PROBES + 1 + 1
    run()
    assert len(upstream.seen) == len(asked), "nothing is"
    written = {path.read_bytes() for path in (tmp_path / "out").rglob("*.p*g")}
    assert written == {b"an explanation", b"another explanation"}


def test_a_killed_run_leaves_whole_files_only(folder: Path, tmp_path: Path, upstream: Upstream) -> None:
    """Killed while it waits for its third answer."""
    asked, killed = threading.Event(), threading.Event()

    def third_waits(_: bytes) -> Reply:
        if len(upstream.seen) == 1 + 3:
            asked.set()
            killed.wait()
        return Reply(200, "image/png", b"x" * 2**20)

    upstream.reply = third_waits
    run = "import typer; from zfnet_explainer.commands.explain import explain; typer.run(explain)"
    url = f"http://{upstream.address}"
    line = [sys.executable, "-c", run, str(folder), "--out", str(tmp_path / "out"), "--url", url]
    with subprocess.Popen(line, stderr=subprocess.DEVNULL) as process:  # noqa: S603
        try:
            assert asked.wait(PATIENCE_S)
        finally:
            process.kill()
            killed.set()
    before = files(tmp_path / "out")
    assert len(before.keys() - {MADE_WITH}) == 2
    explain([folder], tmp_path / "out", url=url)
    after = files(tmp_path / "out")
    assert len(upstream.seen) == 1 + 3 + 1 + 5
    assert before.items() <= after.items()
    assert [len(after[name]) for name in after.keys() - {MADE_WITH}] == [2**20] * 7


def test_a_bad_picture_costs_no_other(
    folder: Path, tmp_path: Path, upstream: Upstream, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "broken.png").write_bytes(BROKEN)
    (folder / "gone.png").symlink_to(folder / "nowhere")
    with pytest.raises(typer.Exit) as ended:
        explain([folder], tmp_path / "out", url=f"http://{upstream.address}")
    assert ended.value.exit_code == os.EX_DATAERR
    assert len(files(tmp_path / "out")) == 8
    said = "".join(capsys.readouterr().err.split())
    assert "broken.png:415" in said
    assert "gone.png:400itcannotberead:Nosuchfile" in said
    assert "7of9picturesexplained" in said


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


@pytest.mark.parametrize(
    ("retry_after", "seconds"), [("7", 7), ("Wed, 21 Oct 2026 07:28:00 GMT", WAIT_S), ("-1", WAIT_S), ("soon", WAIT_S)]
)
def test_what_retry_after_says(
    folder: Path, tmp_path: Path, waits: list[float], retry_after: str, seconds: int
) -> None:
    class BusyOnce(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(200 if waits else 503)
            self.send_header("retry-after", retry_after)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing on the console."""

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
    assert not (tmp_path / "out").exists()


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


REFUSALS = [
    (Reply(401), "give a token"),
    (Reply(403), "give a token"),
    (torchserve_error(400, "InvalidKeyException"), "give a token"),
    (torchserve_error(404, "ModelNotFoundException"), "it has no model 'zfnet'"),
]


@pytest.mark.parametrize("answered", [0, 1 + 3], ids=["first", "later"])
@pytest.mark.parametrize(("reply", "advice"), REFUSALS)
def test_what_no_picture_changes_ends_the_run_at_once(
    folder: Path, tmp_path: Path, upstream: Upstream, capsys: pytest.CaptureFixture[str],
    reply: Reply, advice: str, answered: int,
) -> None:  # fmt: skip
    upstream.reply = lambda form: explained(form) if len(upstream.seen) <= answered else reply
    with pytest.raises(typer.Exit) as ended:
        explain([folder], tmp_path / "out", url=f"http://{upstream.address}")
    assert ended.value.exit_code == 1
    assert len(upstream.seen) == answered + 1
    assert f"takes no picture ({reply.status}): {advice}" in said(capsys)[-1]
    assert len(files(tmp_path / "out")) == answered


@pytest.mark.parametrize(
    "url", ["localhost:9480", "127.0.0.1:8080", "/zfnet", "ftp://localhost", "http://", "http://a:b"]
)
def test_an_address_that_is_none(folder: Path, tmp_path: Path, url: str) -> None:
    with pytest.raises(typer.BadParameter, match=r"--url .* (does not begin with http:// or https://|is no address)"):
        explain([folder], tmp_path / "out", url=url)


def said(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The lines on stderr, without the bar's."""
    return [line for line in capsys.readouterr().err.splitlines() if line.strip() and not line.startswith("explaining")]


def test_other_options_need_another_folder(folder: Path, tmp_path: Path, upstream: Upstream) -> None:
    explain([folder], tmp_path / "out", ["layer=4"], url=f"http://{upstream.address}")
    with pytest.raises(
        typer.BadParameter, match=r'made with .*"layer": "4".* not .*: name another --out, or delete it'
    ):
        explain([folder], tmp_path / "out", ["layer=5"], url=f"http://{upstream.address}")


def test_a_mistyped_option_claims_no_folder(folder: Path, tmp_path: Path, upstream: Upstream) -> None:
    upstream.reply = lambda form: Reply(400, body=b"{}") if b"images" in form else explained(form)
    with pytest.raises(typer.Exit) as ended:
        explain([folder], tmp_path / "out", ["images=no"], url=f"http://{upstream.address}")
    assert ended.value.exit_code == os.EX_DATAERR
    assert files(tmp_path / "out") == {}
    explain([folder], tmp_path / "out", url=f"http://{upstream.address}")
    assert len(files(tmp_path / "out")) == 7 + 1


def test_other_options_are_refused_before_any_work(folder: Path, tmp_path: Path, upstream: Upstream) -> None:
    explain([folder / "a.png"], tmp_path / "out", url=f"http://{upstream.address}")
    asked = len(upstream.seen)
    with pytest.raises(typer.BadParameter, match="name another --out, or delete it"):
        explain([folder], tmp_path / "out", ["layer=5"], url=f"http://{upstream.address}")
    assert len(upstream.seen) == asked


def test_a_run_with_other_options_that_claims_the_folder_meanwhile_stops_this_one(
    folder: Path, tmp_path: Path, upstream: Upstream
) -> None:
    """Both began in an empty folder; the other writes its first explanation while this one waits for its third."""

    def other_claims(form: bytes) -> Reply:
        if len(upstream.seen) == 1 + 3:
            (tmp_path / "out" / MADE_WITH).unlink()
            claim(tmp_path / "out", {"options": {"format": "png", "layer": "3"}, "weights_sha256": None})
        return explained(form)

    upstream.reply = other_claims
    with pytest.raises(typer.BadParameter, match=r'made with .*"layer": "3"'):
        explain([folder], tmp_path / "out", url=f"http://{upstream.address}")
    assert len(files(tmp_path / "out")) == 2 + 1


def changed_weights(form: bytes) -> Reply:
    return explained(form, weights="cd" * 32)


def test_a_server_with_other_weights_needs_another_folder(folder: Path, tmp_path: Path, upstream: Upstream) -> None:
    explain([folder], tmp_path / "out", shard="0/2", url=f"http://{upstream.address}")
    assert json.loads((tmp_path / "out" / MADE_WITH).read_text())["weights_sha256"] == "ab" * 32
    before, asked = files(tmp_path / "out"), len(upstream.seen)
    upstream.reply = changed_weights
    with pytest.raises(typer.BadParameter, match=rf"made with .*{'ab' * 32}.* not .*{'cd' * 32}"):
        explain([folder], tmp_path / "out", shard="1/2", url=f"http://{upstream.address}")
    assert files(tmp_path / "out") == before
    assert len(upstream.seen) == asked + 1


def test_the_weights_are_asked_for_with_a_picture_that_is_one(folder: Path, tmp_path: Path, upstream: Upstream) -> None:
    (folder / "0.png").write_bytes(BROKEN)
    (folder / "1.png").symlink_to(folder / "nowhere")
    with pytest.raises(typer.Exit):
        explain([folder], tmp_path / "out", url=f"http://{upstream.address}")
    assert [seen.path for seen in upstream.seen][:3] == ["/predictions/zfnet"] * 2 + ["/explanations/zfnet"]
    assert json.loads((tmp_path / "out" / MADE_WITH).read_text())["weights_sha256"] == "ab" * 32
    for i in range(PROBES):
        (folder / f"0{i}.png").write_bytes(BROKEN)
    upstream.reply = changed_weights
    with pytest.raises(typer.BadParameter, match="made with"):  # asked with one that has been read before
        explain([folder], tmp_path / "out", url=f"http://{upstream.address}")


@pytest.mark.parametrize("body", [b"no JSON", b"[]", b"{}", b'{"model": "zfnet"}', b'{"model": {"weights_sha256": 1}}'])
def test_weights_that_a_server_does_not_tell_are_not_compared(
    folder: Path, tmp_path: Path, upstream: Upstream, body: bytes
) -> None:
    upstream.reply = lambda form: explained(form) if is_explanation(form) else Reply(body=body)
    explain([folder], tmp_path / "out", shard="0/2", url=f"http://{upstream.address}")
    assert json.loads((tmp_path / "out" / MADE_WITH).read_text())["weights_sha256"] is None
    upstream.reply = explained
    explain([folder], tmp_path / "out", shard="1/2", url=f"http://{upstream.address}")
    assert len(files(tmp_path / "out")) == 7 + 1


@pytest.mark.parametrize("shard", ["2/2", "1", "-1/2", "a/b", "1/0", "0/2/3", ""])
def test_a_part_that_is_none(folder: Path, tmp_path: Path, shard: str) -> None:
    with pytest.raises(typer.BadParameter, match="--shard is I/N with I from 0 to N-1, such as 0/4, not"):
        explain([folder], tmp_path / "out", shard=shard)


def test_what_would_overwrite_or_feed_itself_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(typer.BadParameter, match=r"would both go to .*: explain them apart"):
        explain([folder / "a.png", folder / "cats" / "a.png"], tmp_path / "out")
    with pytest.raises(typer.BadParameter, match="lies inside"):
        explain([folder], folder / "out")
    (tmp_path / "empty").mkdir()
    with pytest.raises(typer.BadParameter, match="there are no pictures in"):
        explain([tmp_path / "empty"], tmp_path / "out")
