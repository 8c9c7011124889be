"""A door in a few lines of the standard library, so that a browser can meet the real service without TorchServe."""

import json
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import torch

from tests.waiting import PATIENCE_S
from zfnet_explainer.explainer import Explainer
from zfnet_explainer.net.checkpoint import Checkpoint
from zfnet_explainer.pictures.atlas import Atlas
from zfnet_explainer.pictures.samples import Sample
from zfnet_explainer.service.service import Service
from zfnet_explainer.service.settings import Limits
from zfnet_explainer.wire.request import Incoming

ROUTE = re.compile(r"/(predictions|explanations)/zfnet(\?.*)?")
LOGIN = "/login"
# How a request without the token is refused: by TorchServe, and by the gateway (deploy/gateway/envoy.yaml).
NO_KEY = 400, {"code": 400, "type": "InvalidKeyException", "message": "Token Authorization failed."}
NO_TOKEN = (
    401,
    {
        "error": {
            "code": "unauthenticated",
            "message": "send a token, `Authorization: Bearer TOKEN` (Jwt is missing)",
            "request_id": "0f3b",
        }
    },
)


def serving(
    trained: Checkpoint, atlas: Atlas | None = None, allowed_origin: str = "", samples: Sequence[Sample] = ()
) -> Service:
    """What answers behind a door."""
    explainer = Explainer(trained, torch.device("cpu"), atlas)
    return Service(explainer, "zfnet", "1.0.0", Limits(), allowed_origin=allowed_origin, samples=samples)


class Door(ThreadingHTTPServer):
    """Answers as TorchServe would, and refuses who brings no token; explanations wait while `open` is not set."""

    daemon_threads = True

    def __init__(self, service: Service, token: str | None, refusal: tuple[int, dict[str, Any]]) -> None:
        super().__init__(("127.0.0.1", 0), Visitor)
        self.service, self.token, self.refusal = service, token, refusal
        self.open = threading.Event()
        self.open.set()
        self.worker = (
            threading.Lock()
        )  # TorchServe's worker answers one request at a time, those that nobody awaits too
        self.closing = False
        self.wants_login = False  # as a proxy may, which sends browsers to a page of its own
        self.asked: list[dict[str, Any]] = []
        self.pictures: set[bytes] = set()
        self.file_names: set[bytes] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/explanations/zfnet"


class Visitor(BaseHTTPRequestHandler):
    """One connection."""

    server: Door

    def do_GET(self) -> None:
        if self.path == LOGIN:
            self._send(200, "text/html", b"<h1>Log in</h1>")
        else:
            self._answer({"body": b""})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.file_names.update(re.findall(rb'; filename="([^"]*)"', body))
        if self.server.wants_login:
            self._send(302, "text/html", b"", Location=LOGIN)
            return
        if self.server.token and self.headers["Authorization"] != f"Bearer {self.server.token}":
            status, said = self.server.refusal
            self._send(status, "application/json", json.dumps(said).encode())
            return
        self._answer(form_fields(body, self.headers["Content-Type"]))

    def _answer(self, fields: dict[str, bytes]) -> None:
        route = ROUTE.fullmatch(self.path)
        if route is None:
            self._send(404, "application/json", b"{}")
            return
        explain = route[1] == "explanations"
        if "data" in fields:
            self.server.asked.append({name: v.decode() for name, v in fields.items() if name != "data"})
            self.server.pictures.add(fields["data"])
            if explain:
                self.server.open.wait(PATIENCE_S)
        incoming = Incoming(fields, dict(self.headers), explain, kserve=False)
        with self.server.worker:
            if self.server.closing:  # an explanation that nobody waits for would outlive the test
                return
            [answer] = self.server.service.answer([incoming], ["from-a-browser"])
        self._send(answer.status, answer.content_type, answer.body)

    def _send(self, status: int, content_type: str, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("X-Request-Id", "from-a-browser")
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Access-Control-Allow-Origin", "*")  # TorchServe's cors_allowed_origin
        self.end_headers()
        self.wfile.write(body)

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except ConnectionError:  # a browser that stopped waiting
            self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: the service logs what it answers."""


def form_fields(body: bytes, content_type: str) -> dict[str, bytes]:
    """The fields of a multipart form."""
    boundary = b"--" + content_type.partition("boundary=")[2].encode()
    fields = {}
    for part in body.split(boundary)[1:-1]:
        head, _, content = part.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        name = re.search(rb'name="([^"]*)"', head)
        assert name is not None
        fields[name[1].decode()] = content.removesuffix(b"\r\n")
    return fields


@contextmanager
def opened(service: Service, token: str | None = None, refusal: tuple[int, dict[str, Any]] = NO_KEY) -> Iterator[Door]:
    """A door that stands open until the block ends."""
    door = Door(service, token, refusal)
    thread = threading.Thread(target=door.serve_forever, args=(0.02,))  # seconds until it sees that it is to close
    thread.start()
    try:
        yield door
    finally:
        door.closing = True
        door.open.set()
        door.shutdown()
        thread.join()
        with door.worker:  # nor may one that has begun
            pass
        door.server_close()
