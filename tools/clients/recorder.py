"""A door before a real server that keeps what a client sends, byte for byte."""

import base64
import json
import struct
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from urllib.parse import urlsplit

SIDE = 16
PIXELS = bytes(i * i % 251 for i in range(SIDE * SIDE * 3))  # RGB, row by row
HEADER = struct.pack("<2sIHHIIiiHHIIiiII", b"BM", 54 + len(PIXELS), 0, 0, 54, 40, SIDE, -SIDE, 1, 24, 0, 0, 0, 0, 0, 0)
PICTURE = HEADER + bytes(PIXELS[i - i % 3 + 2 - i % 3] for i in range(len(PIXELS)))  # a BMP: BGR

Exchange = dict[str, object]


class Door(ThreadingHTTPServer):
    """Hands every request on to the server at `url`, and keeps it."""

    def __init__(self, url: str) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.netloc = urlsplit(url).netloc
        self.seen: list[Exchange] = []

    @property
    def address(self) -> str:
        """Where a client finds it, host:port."""
        return f"127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Door

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        onward = HTTPConnection(self.server.netloc, timeout=300)
        onward.request(self.command, self.path, body, dict(self.headers.items()))
        reply = onward.getresponse()
        content = reply.read()
        onward.close()
        sent = {"method": self.command, "path": self.path, "headers": self.headers.items()}
        self.server.seen.append({**sent, "body": base64.b64encode(body).decode()})
        self.send_response_only(reply.status)
        for name, value in reply.getheaders():
            if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                self.send_header(name, value)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = answer


@contextmanager
def recorded(package: str, url: str) -> Iterator[Door]:
    """The door before the server at `url`; all that came through it is written to stdout at the end, as JSON."""
    with Door(url) as door:
        threading.Thread(target=door.serve_forever, daemon=True).start()
        yield door
        door.shutdown()
    kept = {"client": package, "version": version(package), "picture": base64.b64encode(PICTURE).decode()}
    json.dump({**kept, "requests": door.seen}, sys.stdout, indent=1)
    sys.stdout.write("\n")
