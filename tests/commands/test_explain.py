"""`zfnet-explainer explain` on folders: parts that make a whole, runs that go on, exit codes."""

import base64
import ipaddress
import json
import os
import re
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch
import typer
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from typer.testing import CliRunner

from zfnet_explainer.commands.bulk import Shard
from zfnet_explainer.commands.claim import MADE_WITH, Claim, Sources
from zfnet_explainer.commands.explain import explain
from zfnet_explainer.commands.main import app
from zfnet_explainer.commands.remote import LONGEST_WAIT_S, PROBES, TRIES_GONE, WAIT_S
from zfnet_explainer.torchserve.ports import LOOPBACK
from zfnet_explainer.wire.options import EXPLAIN_OPTIONS

from ..deploy.upstream import Reply, Upstream, handler_of, running_upstream, torchserve_error
from ..samples import encoded, noise
from ..served import RECORD, service
from ..waiting import PATIENCE_S
from .explaining import BROKEN, explained, files, is_explanation, said


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Seven pictures, two of a name in different folders."""
    for i, name in enumerate(["a.png", "b.jpg", "c.png", "d.png", "cats/a.png", "cats/deep/x.png", "dogs/y y.png"]):
        path = tmp_path / "pictures" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(noise(60, 70, seed=i), "JPEG" if path.suffix == ".jpg" else "PNG"))
    return tmp_path / "pictures"


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that are waited for from now on, in no time."""
    waited: list[float] = []
    monkeypatch.setattr(time, "sleep", waited.append)
    return waited


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    """A server to ask."""
    with running_upstream() as running:
        running.reply = explained
        yield running


def test_the_help_names_every_option_of_the_api() -> None:
    help_page = CliRunner().invoke(app, ["explain", "--help"]).output
    [listed] = re.findall(r"name=value: (.+?)\. Repeat", " ".join(help_page.split()))
    assert sorted(listed.split(", ")) == sorted(EXPLAIN_OPTIONS)


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


def answering(body: bytes) -> Callable[[bytes], Reply]:
    """Every explanation is the same."""
    return lambda form: Reply(200, "image/png", body) if is_explanation(form) else explained(form)


def test_a_run_goes_on_where_it_was(folder: Path, tmp_path: Path, upstream: Upstream) -> None:
    def run() -> None:
        explain([folder], tmp_path / "out", url=f"http://{upstream.address}")

    upstream.reply = Reply(500, body=b'{"error": {}}')
    with pytest.raises(typer.Exit) as ended:
        run()
    assert ended.value.exit_code == 1
    upstream.reply = answering(b"an explanation")
    run()
    (tmp_path / "out" / "cats" / "a.png.png").unlink()
    upstream.reply = answering(b"another explanation")
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

    def third_waits(form: bytes) -> Reply:
        if len(upstream.seen) == 1 + 3:
            asked.set()
            killed.wait()
        return answering(b"x" * 2**20)(form)

    upstream.reply = third_waits
    run = "import typer; from zfnet_explainer.commands.explain import explain; typer.run(explain)"
    url = f"http://{upstream.address}"
    line = [sys.executable, "-c", run, str(folder), "--out", str(tmp_path / "out"), "--url", url]
    with subprocess.Popen(line, stderr=subprocess.DEVNULL) as process:
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
    os.mkfifo(folder / "pipe.png")
    with pytest.raises(typer.Exit) as ended:
        explain([folder], tmp_path / "out", url=f"http://{upstream.address}")
    assert ended.value.exit_code == os.EX_DATAERR
    assert len(files(tmp_path / "out")) == 8
    said = "".join(capsys.readouterr().err.split())
    assert "broken.png:415nopicture" in said
    assert "gone.png:400itcannotberead:Nosuchfile" in said
    assert "pipe.png:400itcannotberead:itisnoregularfile" in said
    assert "7of10picturesexplained" in said


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


def jwt(claims: object) -> str:
    """A token with these claims, as far as who does not check it can see."""
    return f"e30.{base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip('=')}.c2ln"


REFUSALS = [Reply(401), Reply(403), torchserve_error(400, "InvalidKeyException")]
TOKENS = {
    None: "no token",
    "secret": "the token that it was given",
    "a.b.c": "the token that it was given",
    jwt([]): "the token that it was given",
    jwt({"sub": "alice"}): "the token that it was given",
    jwt({"sub": "alice", "exp": datetime(2026, 10, 21, 7, 28, tzinfo=UTC).timestamp()}): (
        "the token of 'alice', good until 2026-10-21 07:28 UTC"
    ),
}


@pytest.mark.parametrize("answered", [0, 1 + 3], ids=["first", "later"])
@pytest.mark.parametrize("reply", REFUSALS, ids=["401", "403", "TorchServe's"])
def test_a_token_that_is_refused_ends_the_run_at_once(
    folder: Path, tmp_path: Path, upstream: Upstream, capsys: pytest.CaptureFixture[str], reply: Reply, answered: int
) -> None:
    upstream.reply = lambda form: explained(form) if len(upstream.seen) <= answered else reply
    with pytest.raises(typer.Exit) as ended:
        explain([folder], tmp_path / "out", url=f"http://{upstream.address}")
    assert ended.value.exit_code == os.EX_NOPERM
    assert len(upstream.seen) == answered + 1
    assert f"takes no picture ({reply.status}) with no token: give one that it takes" in said(capsys)[-1]
    assert len(files(tmp_path / "out")) == answered


@pytest.mark.parametrize("token", TOKENS)
def test_a_token_that_is_refused_is_named_and_not_given_away(
    folder: Path, tmp_path: Path, upstream: Upstream, capsys: pytest.CaptureFixture[str], token: str | None
) -> None:
    upstream.reply = Reply(401)
    with pytest.raises(typer.Exit):
        explain([folder], tmp_path / "out", url=f"http://{upstream.address}", token=token)
    [line] = said(capsys)
    assert f"(401) with {TOKENS[token]}: give one that it takes, with --token or as ZFNET_TOKEN" in line
    assert token is None or token not in line


def test_a_token_is_asked_with_as_it_was_meant(folder: Path, tmp_path: Path, upstream: Upstream) -> None:
    """A file's last line break is no part of it; what cannot be one is refused and not shown."""
    url = f"http://{upstream.address}"
    explain([folder / "a.png"], tmp_path / "out", url=url, token="secret\n")  # noqa: S106
    assert {seen.headers["authorization"] for seen in upstream.seen} == {"Bearer secret"}
    for token in ("sec ret", "sec\nret", "sécret"):
        with pytest.raises(typer.BadParameter, match=r"^--token \(or ZFNET_TOKEN\) has characters") as refused:
            explain([folder], tmp_path / "new", url=url, token=token)
        assert token not in str(refused.value)


def test_a_model_that_is_not_there_ends_the_run_at_once(
    folder: Path, tmp_path: Path, upstream: Upstream, waits: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    upstream.reply = torchserve_error(404, "ModelNotFoundException")
    with pytest.raises(typer.Exit) as ended:
        explain([folder], tmp_path / "out", url=f"http://{upstream.address}")
    assert (ended.value.exit_code, waits, len(upstream.seen)) == (1, [], 1)
    assert "takes no picture (404): it has no model 'zfnet'" in said(capsys)[-1]


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


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """Certificate and key of a server on the loopback that nobody but itself vouches for."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a CA of one's own")])
    now = datetime.now(UTC)
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(LOOPBACK))])
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(address, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    path = tmp_path / "ca.pem"
    path.write_bytes(signed.public_bytes(pem) + key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
    return path


@pytest.fixture
def tls(certificate: Path) -> Iterator[str]:
    """The address of a server behind that certificate."""
    upstream = Upstream("", explained)
    upstream.go_on.set()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with HTTPServer((LOOPBACK, 0), handler_of(upstream)) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield f"https://{LOOPBACK}:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_certificate_of_one_s_own_ca(
    folder: Path, tmp_path: Path, tls: str, certificate: Path, waits: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(typer.Exit) as ended:
        explain([folder], tmp_path / "out", url=tls)
    assert (ended.value.exit_code, waits) == (1, [])
    [line] = said(capsys)
    assert re.fullmatch(
        rf"{tls} shows a certificate that is not trusted \(self.signed certificate\); --cacert names a CA of your own",
        line,
    )
    explain([folder], tmp_path / "out", url=tls, cacert=certificate)
    assert len(files(tmp_path / "out")) == 7 + 1


@pytest.mark.parametrize("name", ["nowhere.pem", "a.png"])
def test_a_ca_that_is_none(folder: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(typer.BadParameter, match=rf"--cacert .*{name} is no file of certificates in PEM"):
        explain([folder], tmp_path / "out", url="https://localhost", cacert=folder / name)
    with pytest.raises(typer.BadParameter, match="--cacert is of the server that --url names"):
        explain([folder], tmp_path / "out", cacert=folder / name)


@pytest.mark.parametrize(
    "url", ["localhost:9480", "127.0.0.1:8080", "/zfnet", "ftp://localhost", "http://", "http://a:b"]
)
def test_an_address_that_is_none(folder: Path, tmp_path: Path, url: str) -> None:
    with pytest.raises(typer.BadParameter, match=r"--url .* (does not begin with http:// or https://|is no address)"):
        explain([folder], tmp_path / "out", url=url)


def test_other_options_need_another_folder(folder: Path, tmp_path: Path, upstream: Upstream) -> None:
    explain([folder], tmp_path / "out", ["layer=4"], url=f"http://{upstream.address}")
    with pytest.raises(
        typer.BadParameter, match=r'made with .*"layer": "4".* not .*: name another --out, or delete it'
    ):
        explain([folder], tmp_path / "out", ["layer=5"], url=f"http://{upstream.address}")


@pytest.fixture
def february(tmp_path: Path) -> Path:
    """Another folder with pictures of names that the first one's subfolder has, and one more."""
    (tmp_path / "february").mkdir()
    for name in ("a.png", "z.png"):
        (tmp_path / "february" / name).write_bytes(encoded(noise(60, 70, seed=9)))
    return tmp_path / "february"


def test_pictures_of_another_folder_need_another_folder(
    folder: Path, february: Path, tmp_path: Path, upstream: Upstream
) -> None:
    url, out, cats = f"http://{upstream.address}", tmp_path / "out", folder / "cats"
    explain([cats], out, url=url)
    before, asked = files(out), len(upstream.seen)
    for others in ([february], [february / "z.png"], [cats / "a.png"]):
        with pytest.raises(typer.BadParameter, match=r"out has explanations of .*cats, where pictures may have"):
            explain(others, out, url=url)
    assert (files(out), len(upstream.seen)) == (before, asked)
    (tmp_path / "link").symlink_to(cats)
    explain([tmp_path / "link"], out, url=url)
    assert (files(out), len(upstream.seen)) == (before, asked), "the same folder by another name"


def test_what_a_run_is_given_may_grow(folder: Path, february: Path, tmp_path: Path, upstream: Upstream) -> None:
    url, out, dogs = f"http://{upstream.address}", tmp_path / "out", folder / "dogs"
    (february / "a.png").rename(february / "y.png")
    explain([dogs], out, url=url)
    explain([dogs, february, folder / "b.jpg"], out, url=url)
    assert {"y.png.png", "z.png.png", "b.jpg.png"} < set(files(out))
    note = json.loads((out / MADE_WITH).read_text())
    assert (note["folders"], note["pictures"]) == (sorted([str(dogs), str(february)]), [str(folder / "b.jpg")])
    with pytest.raises(typer.BadParameter, match="give all of them at once"):
        explain([february], out, url=url)


def test_pictures_named_one_by_one_may_come_from_anywhere_but_under_a_name_that_is_there(
    folder: Path, february: Path, tmp_path: Path, upstream: Upstream
) -> None:
    url, out = f"http://{upstream.address}", tmp_path / "out"
    explain([folder / "cats" / "a.png"], out, url=url)
    explain([february / "z.png"], out, url=url)
    assert set(files(out)) == {"a.png.png", "z.png.png", MADE_WITH}
    before = files(out)
    explain([february / "z.png"], out, url=url)
    for others in ([february / "a.png"], [february / "z.png", february / "a.png"], [february]):
        with pytest.raises(typer.BadParameter, match="name another --out"):
            explain(others, out, url=url)
    assert files(out) == before


def test_a_picture_and_then_its_folder_are_one_set(folder: Path, tmp_path: Path, upstream: Upstream) -> None:
    url, out = f"http://{upstream.address}", tmp_path / "out"
    explain([folder / "a.png"], out, url=url)
    explain([folder], out, url=url)
    assert [seen.path for seen in upstream.seen].count("/explanations/zfnet") == 7
    note = json.loads((out / MADE_WITH).read_text())
    assert (note["folders"], note["pictures"]) == ([str(folder)], [])


def test_links_are_known_by_their_own_names(folder: Path, february: Path, tmp_path: Path, upstream: Upstream) -> None:
    """As in stores that keep files by their hashes: the explanation bears the link's name."""
    url, out = f"http://{upstream.address}", tmp_path / "out"
    for place, content in (("x", folder / "a.png"), ("y", february / "z.png")):
        (tmp_path / place).mkdir()
        (tmp_path / place / "cat.png").symlink_to(content)
    explain([tmp_path / "x" / "cat.png"], out, url=url)
    with pytest.raises(typer.BadParameter, match="where pictures may have the same names"):
        explain([tmp_path / "y" / "cat.png"], out, url=url)


def test_a_picture_of_the_name_of_one_that_is_gone_is_not_taken_for_it(
    folder: Path, february: Path, tmp_path: Path, upstream: Upstream
) -> None:
    url, out = f"http://{upstream.address}", tmp_path / "out"
    explain([folder], out, url=url)
    (folder / "a.png").unlink()
    with pytest.raises(typer.BadParameter, match=r"other pictures under the names of .*february/a\.png: name another"):
        explain([folder, february], out, url=url)


def test_what_is_missing_is_named(folder: Path, february: Path, tmp_path: Path, upstream: Upstream) -> None:
    url, out = f"http://{upstream.address}", tmp_path / "out"
    explain([folder, february / "z.png"], out, url=url)
    with pytest.raises(typer.BadParameter, match=r"out has explanations of [^,]*february/z\.png, where"):
        explain([folder], out, url=url)


def test_what_is_given_twice_is_explained_once(
    folder: Path, tmp_path: Path, upstream: Upstream, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "link").symlink_to(folder)
    explain([folder, folder / "a.png", tmp_path / "link"], tmp_path / "out", url=f"http://{upstream.address}")
    assert "7 of 7 pictures explained" in said(capsys)[-1]
    assert [seen.path for seen in upstream.seen].count("/explanations/zfnet") == 7


def test_the_note_is_read_anew_only_where_another_run_wrote_it(
    folder: Path, tmp_path: Path, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads, read = [], Claim._read

    def counted(claim: Claim) -> dict[str, Any]:
        reads.append(claim.note)
        return read(claim)

    monkeypatch.setattr(Claim, "_read", counted)
    explain([folder], tmp_path / "out", url=f"http://{upstream.address}")
    assert len(reads) == 1


@pytest.mark.parametrize("value", [5, "/a", [["/a"]], {"/a": 1}])
def test_a_note_whose_folders_are_none_is_not_this_programs(
    folder: Path, tmp_path: Path, upstream: Upstream, value: object
) -> None:
    url, note = f"http://{upstream.address}", tmp_path / "out" / MADE_WITH
    explain([folder / "a.png"], tmp_path / "out", url=url)
    note.write_text(json.dumps(json.loads(note.read_text()) | {"folders": value}))
    with pytest.raises(typer.BadParameter, match="is not this program's"):
        explain([folder / "a.png"], tmp_path / "out", url=url)


def test_a_link_to_itself_is_no_picture(tmp_path: Path) -> None:
    (tmp_path / "loop.png").symlink_to("loop.png")
    with pytest.raises(typer.BadParameter, match=r"loop\.png"):
        explain([tmp_path / "loop.png"], tmp_path / "out", url="http://127.0.0.1:1")


def test_another_folder_that_claims_out_meanwhile_stops_this_run(
    folder: Path, february: Path, tmp_path: Path, upstream: Upstream
) -> None:
    """Both began in an empty folder, and the other was the first to keep an explanation."""

    def other_claims(form: bytes) -> Reply:
        if len(upstream.seen) == 1 + 1:
            Claim(tmp_path / "out", {"format": "png"}, Sources.of([february])).take()
        return explained(form)

    upstream.reply = other_claims
    with pytest.raises(typer.BadParameter, match=r"out has explanations of .*february"):
        explain([folder], tmp_path / "out", url=f"http://{upstream.address}")
    assert set(files(tmp_path / "out")) == {MADE_WITH}


def test_a_folder_that_has_moved_is_gone_on_with_once_its_old_place_is_deleted_from_the_note(
    folder: Path, tmp_path: Path, upstream: Upstream
) -> None:
    url, note = f"http://{upstream.address}", tmp_path / "out" / MADE_WITH
    explain([folder], tmp_path / "out", shard="0/2", url=url)
    moved = folder.rename(tmp_path / "moved")
    with pytest.raises(typer.BadParameter, match=f"delete `folders` and `pictures` from {note}"):
        explain([moved], tmp_path / "out", url=url)
    told = json.loads(note.read_text())
    note.write_text(json.dumps(told | {"folders": None, "pictures": None}))
    explain([moved], tmp_path / "out", url=url)
    asked = [seen.path for seen in upstream.seen]
    assert asked.count("/explanations/zfnet") == 7
    assert len(files(tmp_path / "out")) == 7 + 1


def test_a_part_without_pictures_names_no_folder(
    folder: Path, tmp_path: Path, upstream: Upstream, capsys: pytest.CaptureFixture[str]
) -> None:
    [whose] = [i for i in range(2) if Shard(i, 2).holds(Path("a.png"))]
    explain([folder / "a.png"], tmp_path / "out", shard=f"{1 - whose}/2", url=f"http://{upstream.address}")
    assert said(capsys) == ["0 of 0 pictures explained"]
    assert not (tmp_path / "out").exists()
    assert upstream.seen == []


def refusing(code: str, option: str | None = "images") -> Reply:
    error = {"code": code, "message": "`images` must be true or false, got 'no'"} | (
        {"option": option} if option else {}
    )
    return Reply(400, body=json.dumps({"error": error}).encode())


@pytest.mark.parametrize("code", ["invalid_option", "too_much_work"])
def test_a_mistyped_option_ends_the_run_at_once_and_claims_no_folder(
    folder: Path, tmp_path: Path, upstream: Upstream, capsys: pytest.CaptureFixture[str], code: str
) -> None:
    upstream.reply = lambda form: refusing(code) if b"images" in form else explained(form)
    with pytest.raises(typer.Exit) as ended:
        explain([folder], tmp_path / "out", ["images=no"], url=f"http://{upstream.address}")
    assert ended.value.exit_code == os.EX_USAGE
    assert len(upstream.seen) == 1 + 1
    assert said(capsys) == ["no picture is explained with these options: `images` must be true or false, got 'no'"]
    assert files(tmp_path / "out") == {}
    explain([folder], tmp_path / "out", url=f"http://{upstream.address}")
    assert len(files(tmp_path / "out")) == 7 + 1


def test_a_mistyped_option_ends_a_run_here_too(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("zfnet_explainer.commands.local.local_service", lambda *_: service())
    with pytest.raises(typer.Exit) as ended:
        explain([folder], tmp_path / "out", ["windw=8"])
    assert ended.value.exit_code == os.EX_USAGE
    [line] = said(capsys)
    assert line.startswith("no picture is explained with these options: ")
    assert "windw" in line


def test_a_gpu_that_failed_ends_a_run_which_another_goes_on_with(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    served = service()
    pictures = iter(range(7))
    whole = served.explainer.explain

    def fails_at_the_third(*arguments: Any) -> Any:
        if next(pictures) == 2:
            raise torch.AcceleratorError("CUDA error: unspecified launch failure")
        return whole(*arguments)

    monkeypatch.setattr(served.explainer, "explain", fails_at_the_third)
    monkeypatch.setattr("zfnet_explainer.commands.local.local_service", lambda *_: served)
    options = ["methods=deconv", "features=1", "format=json", "images=false"]
    with pytest.raises(typer.Exit) as ended:
        explain([folder], tmp_path / "out", options)
    assert ended.value.exit_code == 1
    assert said(capsys)[-1] == (
        f"{served.served.device} has failed, and computes nothing more in this process: give the same command again"
    )
    assert next(pictures) == 3, "no fourth picture was tried"
    assert len(files(tmp_path / "out")) == 2 + 1


@pytest.mark.parametrize(
    ("first", "refusal"),
    [(1, refusing("too_much_work", option=None)), (3, refusing("invalid_option", "precision"))],
    ids=["an answer that is too large", "numbers that are too large"],
)
def test_what_is_refused_for_one_picture_stops_no_other(
    folder: Path, tmp_path: Path, upstream: Upstream, first: int, refusal: Reply
) -> None:
    """Where the contract names no option, and where another picture was explained with the options."""
    upstream.reply = lambda form: refusal if len(upstream.seen) == 1 + first else explained(form)
    with pytest.raises(typer.Exit) as ended:
        explain([folder], tmp_path / "out", url=f"http://{upstream.address}")
    assert ended.value.exit_code == os.EX_DATAERR
    assert len(files(tmp_path / "out")) == 6 + 1
    upstream.reply = lambda form: refusal if is_explanation(form) else explained(form)
    with pytest.raises(typer.Exit) as ended:  # what is left is that picture alone
        explain([folder], tmp_path / "out", url=f"http://{upstream.address}")
    assert ended.value.exit_code == os.EX_DATAERR


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
            Claim(tmp_path / "out", {"format": "png", "layer": "3"}, Sources.of([folder])).take()
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
