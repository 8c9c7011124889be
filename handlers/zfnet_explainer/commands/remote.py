"""A server that explains pictures for `zfnet-explainer explain --url`: asked, waited for, and checked to be able to."""

import base64
import os
import re
import ssl
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import formatdate, parsedate_to_datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from ..wire.accept import MEDIA_TYPES
from .asking import Aborted, Ask, Options, answer_to, field
from .connection import connected, named

if TYPE_CHECKING:  # a run that computes here does not wait for it
    import httpx

BUSY = (429, 502, 503)  # what a server, the gateway or another proxy says for now, with Retry-After
LATE, TOO_LARGE = 408, 413  # what proxies and TorchServe say of one picture, in words of their own or none
PASSING = (*BUSY, LATE)  # which another run may find otherwise
NO_SUCH_CALL = (405, 501)
TRIES = 60
TRIES_GONE = 5  # of a server that has answered and then is away, or has no model: it may be starting anew
WAIT_S, LONGEST_WAIT_S = 5, 600
PROBES = 5  # pictures that a server may refuse before it is not asked any more for its weights


def check_url(url: str) -> None:
    """Raise typer.BadParameter where this is no address of a server."""
    import httpx

    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:  # its words may have a part of a password
        why = "a port is a number, and a name or password has %23 for #, %2F for /" if "@" in url else str(error)
        raise typer.BadParameter(f"--url {named(url)!r} is no address ({why}): such as http://127.0.0.1:8080") from None
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise typer.BadParameter(f"--url {named(url)!r} does not begin with http:// or https:// and a host")


@contextmanager
def remote(
    url: str, model: str, token: str | None, cacert: Path | None, options: Options, probes: Sequence[Path]
) -> Iterator[tuple[Ask, str | None]]:
    """Asked of a server; also the hash of its weights, where it tells that of one of the probes."""
    if token and not re.fullmatch("[!-~]+", token := token.strip()):
        raise typer.BadParameter("--token (or ZFNET_TOKEN) has characters in it that no token has, such as spaces")
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    with connected(url, headers, cacert) as client:
        server = Server(client, named(url), model, token)
        yield partial(server.answer, "explanations", options=options), server.weights_sha256(probes[:PROBES])


@dataclass
class Server:
    """A server that is asked about one picture after the other, each again while it is busy or away for a moment."""

    client: "httpx.Client"
    url: str
    model: str
    token: str | None
    has_answered: bool = False

    def weights_sha256(self, probes: Iterable[Path]) -> str | None:
        """The hash of its weights, as its prediction for the first picture that it reads says. Raises Aborted."""
        for picture in probes:
            status, body = answer_to(picture, self._prediction)
            if status == 200:
                return self._told_sha256(body)
            if status in BUSY:  # after all tries: no other picture would change it
                break
        return None

    def _prediction(self, picture: bytes) -> tuple[int, bytes]:
        """As `answer`; Aborted also where no server of ours refuses in these words."""
        status, body = self.answer("predictions", picture, {})
        if 400 <= status < 500 and status not in (*PASSING, TOO_LARGE) and not _is_refusal(body):
            raise self._foreign(status)
        return status, body

    def _told_sha256(self, prediction: bytes) -> str:
        model = field(prediction, "model")
        found = model.get("weights_sha256") if isinstance(model, dict) else None
        if not isinstance(found, str):
            raise self._foreign(200)
        return found

    def answer(self, call: str, picture: bytes, options: Options) -> tuple[int, bytes]:
        """Status and body, once it is not busy, or after the last try. Raises Aborted."""
        for left in reversed(range(TRIES)):
            reply = self._reply(call, picture, options)
            if reply.status_code not in BUSY or not left:
                break
            time.sleep(_wait(reply.headers))
        self._check(reply)
        media = reply.headers.get("content-type", "").partition(";")[0].strip().lower()
        if reply.status_code == 200 and media != MEDIA_TYPES[options.get("format", "json")]:
            raise self._foreign(200)
        return reply.status_code, reply.content

    def _reply(self, call: str, picture: bytes, options: Options) -> "httpx.Response":
        """Whatever it says; Aborted where it is not there, or does not come back."""
        import httpx

        for left in reversed(range(TRIES_GONE if self.has_answered else 1)):
            try:
                reply = self.client.post(f"/{call}/{self.model}", files={"data": picture}, data=options)
                if reply.status_code != 404 or not left:
                    break
            except httpx.TransportError as error:
                if not left:
                    raise Aborted(self._gone(error)) from error
            time.sleep(WAIT_S)
        self.has_answered = True
        return reply

    def _gone(self, error: Exception) -> str:
        if distrust := _distrust(error):
            return f"{self.url} shows a certificate that is not trusted ({distrust}); --cacert names a CA of your own"
        if not self.has_answered:
            return f"no answer from {self.url} ({error}): is the server running?"
        return f"{self.url} does not answer any more ({error}): started again, this command goes on where it was"

    def _check(self, reply: "httpx.Response") -> None:
        status = reply.status_code
        keyless = status == 400 and field(reply.content, "type") == "InvalidKeyException"
        refused = f"{self.url} takes no picture ({status})"
        if status in (401, 403) or keyless:
            advice = f"{_described(self.token)}: give one that it takes, with --token or as ZFNET_TOKEN"
            raise Aborted(f"{refused} with {advice}", os.EX_NOPERM)
        if 300 <= status < 400:
            elsewhere = named(reply.headers.get("location", "no address"))
            raise Aborted(f"{refused} and sends to {elsewhere}: --url names a server where it answers itself")
        if status in NO_SUCH_CALL:
            raise self._foreign(status)
        if status == 404:
            raise Aborted(
                f"{refused}: it has no model {self.model!r} at this address; --model and --url say which and where"
            )

    def _foreign(self, status: int) -> Aborted:
        return Aborted(f"{self.url} answers ({status}), but is no server of ours: check --url")


def _is_refusal(body: bytes) -> bool:
    """Whether it is the contract's error, or one of TorchServe's own."""
    return isinstance(field(body, "error"), dict) or isinstance(field(body, "type"), str)


def _distrust(error: BaseException | None) -> str | None:
    """Why a certificate was not trusted, where that is what an error comes from."""
    while error is not None and not isinstance(error, ssl.SSLCertVerificationError):
        error = error.__cause__ or error.__context__
    return error.verify_message if error else None


def _described(token: str | None) -> str:
    """A token in words that do not give it away: whose it is and until when, where it is a JWT that says so."""
    if token is None:
        return "no token"
    try:
        payload = token.split(".")[1]
        claims = base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))
        name, end = field(claims, "sub"), datetime.fromtimestamp(field(claims, "exp"), UTC)
    except (IndexError, ValueError, TypeError, OverflowError):
        return "the token that it was given"
    return f"the token of {name!r}, good until {end:%Y-%m-%d %H:%M} UTC"


def _wait(headers: Mapping[str, str]) -> float:
    """Seconds that Retry-After asks for, as a number or as a date by the server's own clock."""
    asked = headers.get("retry-after", "")
    try:
        if asked.isdecimal():
            seconds = float(asked)
        else:
            now = parsedate_to_datetime(headers.get("date", formatdate(usegmt=True)))
            seconds = parsedate_to_datetime(asked).timestamp() - now.timestamp()
    except (ValueError, OverflowError):
        return WAIT_S
    return min(max(seconds, 1), LONGEST_WAIT_S)
