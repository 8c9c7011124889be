"""A server that stands in for one of a pool's: it notes what reaches it and answers as it is told."""

import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from zfnet_explainer.torchserve.ports import LOOPBACK


@dataclass(frozen=True)
class Reply:
    """What it answers; without a content type as TorchServe's 413 is, without a status it hangs up."""

    status: int | None = 200
    content_type: str | None = "application/json"
    body: bytes = b"{}"


@dataclass(frozen=True)
class Seen:
    """A request that reached it; header names in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Upstream:
    """Its address, what it answers (to a body) and has seen; while `go_on` is clear, requests wait for answers."""

    address: str
    reply: Reply | Callable[[bytes], Reply] = Reply()
    seen: list[Seen] = field(default_factory=list)
    go_on: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Nothing is answered inside."""
        self.go_on.clear()
        try:
            yield
        finally:
            self.go_on.set()


@contextmanager
def running_upstream(tls: ssl.SSLContext | None = None) -> Iterator[Upstream]:
    """A server on the loopback for as long as the context lasts."""
    server = ThreadingHTTPServer((LOOPBACK, 0), BaseHTTPRequestHandler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    upstream = Upstream(f"{LOOPBACK}:{server.server_port}")
    upstream.go_on.set()
    server.RequestHandlerClass = handler_of(upstream)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield upstream
    finally:
        upstream.go_on.set()
        server.shutdown()
        server.server_close()
        thread.join()


def handler_of(upstream: Upstream) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # else a body waits 40 ms for the client to confirm the headers

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            upstream.seen.append(Seen(self.command, self.path, headers, body))
            upstream.go_on.wait()
            reply = upstream.reply if isinstance(upstream.reply, Reply) else upstream.reply(body)
            if reply.status is None:
                self.close_connection = True
                return
            self.send_response(reply.status)
            if reply.content_type is not None:
                self.send_header("content-type", reply.content_type)
                self.send_header("x-request-id", "torchserves-own")
            self.send_header("content-length", str(len(reply.body)))
            with suppress(ConnectionError):  # the client has left
                self.end_headers()
                self.wfile.write(reply.body)

        do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_OPTIONS = do_PATCH = answer

        def log_message(self, *_: object) -> None:
            """Nothing on the console."""

    return Handler


def torchserve_error(status: int, kind: str) -> Reply:
    """An error of TorchServe's own, in the bytes it writes."""
    body = json.dumps({"code": status, "type": kind, "message": "java.lang.Internals"}, indent=2) + "\n"
    return Reply(status, body=body.encode())
