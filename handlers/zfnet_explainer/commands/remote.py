"""A server that explains pictures for `zfnet-explainer explain --url`: asked, waited for, and checked to be able to."""

import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:  # a run that computes here does not wait for it
    import httpx

BUSY = (429, 503)  # what a server or the gateway says for now, with Retry-After
TRIES = 60
TRIES_GONE = 5  # of a server that has answered and then cannot be reached: long enough for it to be started anew
WAIT_S = 5
PROBES = 5  # pictures that a server may refuse before it is not asked any more for its weights

Options = dict[str, str]
Ask = Callable[[bytes], tuple[int, bytes]]  # a picture -> status, body


class Unanswerable(Exception):
    """No picture can be answered, whichever is asked; the message says why and what to do."""


def answer_to(picture: Path, ask: Ask) -> tuple[int, bytes]:
    """What is answered to a file, or that it cannot be read."""
    try:
        content = picture.read_bytes()
    except OSError as error:
        return 400, f"it cannot be read: {error.strerror}".encode()
    return ask(content)


def check_url(url: str) -> None:
    """Raise typer.BadParameter where this is no address of a server."""
    import httpx

    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise typer.BadParameter(f"--url {url!r} is no address ({error}): such as http://127.0.0.1:8080") from error
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise typer.BadParameter(f"--url {url!r} does not begin with http:// or https:// and a host")


@contextmanager
def remote(
    url: str, model: str, token: str | None, options: Options, probes: Sequence[Path]
) -> Iterator[tuple[Ask, str | None]]:
    """Asked of a server; also the hash of its weights, where it tells that of one of the probes."""
    import httpx

    headers = {"Authorization": f"Bearer {token}"} if token else {}
    with httpx.Client(base_url=url, headers=headers, timeout=httpx.Timeout(10, read=610)) as client:
        server = Server(client, url, model)
        yield partial(server.answer, "explanations", options=options), server.weights_sha256(probes[:PROBES])


@dataclass
class Server:
    """A server that is asked about one picture after the other, each again while it is busy or away for a moment."""

    client: "httpx.Client"
    url: str
    model: str
    has_answered: bool = False

    def weights_sha256(self, probes: Iterable[Path]) -> str | None:
        """The hash of its weights, as its prediction for the first picture that it reads says. Raises Unanswerable."""
        for picture in probes:
            status, body = answer_to(picture, partial(self.answer, "predictions", options={}))
            if status == 200:
                return _weights_sha256(body)
            if status in BUSY:  # after all tries: no other picture would change it
                break
        return None

    def answer(self, call: str, picture: bytes, options: Options) -> tuple[int, bytes]:
        """Status and body, once it is not busy, or after the last try. Raises Unanswerable."""
        for left in reversed(range(TRIES)):
            reply = self._reply(call, picture, options)
            if reply.status_code not in BUSY or not left:
                break
            time.sleep(_wait(reply.headers.get("retry-after", "")))
        self._check(reply)
        return reply.status_code, reply.content

    def _reply(self, call: str, picture: bytes, options: Options) -> "httpx.Response":
        """Whatever it says; Unanswerable where it is not there, or does not come back."""
        import httpx

        for left in reversed(range(TRIES_GONE if self.has_answered else 1)):
            try:
                reply = self.client.post(f"/{call}/{self.model}", files={"data": picture}, data=options)
            except httpx.TransportError as error:
                if not left:
                    raise Unanswerable(self._gone(error)) from error
                time.sleep(WAIT_S)
            else:
                break
        self.has_answered = True
        return reply

    def _gone(self, error: Exception) -> str:
        if not self.has_answered:
            return f"no answer from {self.url} ({error}): is the server running?"
        return f"{self.url} does not answer any more ({error}): started again, this command goes on where it was"

    def _check(self, reply: "httpx.Response") -> None:
        status = reply.status_code
        keyless = status == 400 and _field(reply.content, "type") == "InvalidKeyException"
        if status in (401, 403) or keyless:
            advice = "give a token that it takes, with --token or as ZFNET_TOKEN; they end after a time"
        elif status == 404:
            advice = f"it has no model {self.model!r} at this address; --model and --url say which and where"
        else:
            return
        raise Unanswerable(f"{self.url} takes no picture ({status}): {advice}")


def _wait(retry_after: str) -> int:
    """Seconds; Retry-After may be a date instead, which is not worth trusting two clocks for."""
    return int(retry_after) if retry_after.isdecimal() else WAIT_S


def _weights_sha256(prediction: bytes) -> str | None:
    model = _field(prediction, "model")
    found = model.get("weights_sha256") if isinstance(model, dict) else None
    return found if isinstance(found, str) else None


def _field(body: bytes, name: str) -> Any:
    """A field of a JSON object; None where it lacks it, or the body is something else."""
    try:
        content = json.loads(body)
    except ValueError:
        return None
    return content.get(name) if isinstance(content, dict) else None
