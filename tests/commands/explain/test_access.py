"""`zfnet-explainer explain --url` where a server wants a token or has a certificate of its own."""

import base64
import ipaddress
import json
import os
import re
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import HTTPServer
from pathlib import Path

import pytest
import typer
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from zfnet_explainer.commands.explain import explain
from zfnet_explainer.torchserve.ports import LOOPBACK

from ...deploy.upstream import Reply, Upstream, handler_of, torchserve_error
from .explaining import explained, files, said


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
