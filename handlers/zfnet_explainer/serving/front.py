"""The port that clients see: it opens when the model is ready, and closes without losing a request.

TorchServe's own port cannot be closed while its answers go on, and it keeps every connection open, on which
a client may ask again at any moment. So it listens on the loopback alone, and everything comes through here:
one request a connection, and every answer says `Connection: close`. What is in flight is then what is
connected, and there is nothing to guess when the server stops.
"""

import asyncio
import socket
from contextlib import suppress
from math import inf

from .config import LOOPBACK
from .errors import ServingError

BACKLOG = 1024
HEAD_TIMEOUT_S = 60
# A client that has connected before the port was closed may not have sent its request yet.
LATE_HEAD_S = 2
# How long a client that has its answer may take to hang up, before what it still sends is reset.
LINGER_S = 2
RETRY_ACCEPT_S = 1
CHUNK_BYTES = 2**16
END_OF_HEAD = b"\r\n\r\n"
HEAD_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class Front:
    """A listening socket and the requests that came through it to TorchServe's port on the loopback."""

    def __init__(self, host: str, port: int, server_port: int) -> None:
        """Open the port; who connects waits until `start`. Raises ServingError where it cannot be had."""
        try:
            self._listener = socket.create_server((host, port), backlog=BACKLOG)
        except OSError as error:
            raise ServingError(f"port {port} was lost while the model was loading: {error.strerror}") from error
        self._listener.setblocking(False)
        self._server_port = server_port
        self._connections: set[asyncio.Task[None]] = set()
        self._silent: set[asyncio.StreamWriter] = set()  # clients that have not asked yet

    def __enter__(self) -> "Front":
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def start(self) -> None:
        """Begin to relay, in the running event loop."""
        asyncio.get_running_loop().add_reader(self._listener, self._accept)

    @property
    def connections(self) -> int:
        """How many clients are connected: each has asked, or is about to, and has no complete answer yet."""
        return len(self._connections)

    def close(self) -> None:
        """Close the port; who has connected before is still served."""
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._listener)
        self._accept()  # who waits in the backlog has connected, and would be reset
        self._listener.close()
        loop.call_later(LATE_HEAD_S, self._leave_silent)

    async def drained(self, seconds: float) -> bool:
        """Whether every connected client has its answer, after so many seconds at most."""
        if not self._connections:
            return True
        _, unanswered = await asyncio.wait(self._connections, timeout=seconds)
        return not unanswered

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except BlockingIOError:  # nobody waits
                return
            except OSError:  # too many open files: some will be closed
                self._pause()
                return
            task = asyncio.create_task(self._relay(connection))
            self._connections.add(task)
            task.add_done_callback(self._connections.discard)

    def _pause(self) -> None:
        loop = asyncio.get_running_loop()
        if loop.remove_reader(self._listener):
            loop.call_later(RETRY_ACCEPT_S, self._resume)

    def _resume(self) -> None:
        if self._listener.fileno() != -1:  # not closed meanwhile
            self.start()

    def _leave_silent(self) -> None:
        for client in self._silent:
            client.close()

    async def _relay(self, connection: socket.socket) -> None:
        """Carry one request to TorchServe and its answer back."""
        client, to_client = await asyncio.open_connection(sock=connection)
        try:
            # Whoever hangs up, or never asks, ends the exchange: there is nobody to tell.
            with suppress(ConnectionError, asyncio.IncompleteReadError, TimeoutError):
                try:
                    head = await self._head(client, to_client)
                except asyncio.LimitOverrunError:
                    to_client.write(HEAD_TOO_LARGE)
                    to_client.write_eof()
                else:
                    await self._exchange(head, client, to_client)
                await _hung_up(client)
        finally:
            to_client.close()

    async def _head(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> bytes:
        self._silent.add(to_client)
        try:
            async with asyncio.timeout(HEAD_TIMEOUT_S):
                return await client.readuntil(END_OF_HEAD)
        finally:
            self._silent.discard(to_client)

    async def _exchange(self, head: bytes, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        server, to_server = await asyncio.open_connection(LOOPBACK, self._server_port)
        to_server.write(head)
        upload = asyncio.create_task(_copy(client, to_server))
        try:
            await _answer(server, to_client, has_body=not head.startswith(b"HEAD "))
        finally:
            upload.cancel()
            await asyncio.gather(upload, return_exceptions=True)  # its end is the answer's, or the client's
            to_server.close()


async def _answer(server: asyncio.StreamReader, to_client: asyncio.StreamWriter, has_body: bool) -> None:
    """Pass on one answer, and that it was the last on its connection."""
    while (head := await server.readuntil(END_OF_HEAD)).split(b" ", 2)[1].startswith(b"1"):
        to_client.write(head)  # 100 Continue
    to_client.write(closing(head))
    if not has_body:
        to_client.write_eof()
    elif (length := content_length(head)) is None:
        await _copy(server, to_client)
    else:
        await _copy(server, to_client, length)


def closing(head: bytes) -> bytes:
    """The head of an answer with `Connection: close` as its only word about the connection."""
    first, *fields = _lines(head)
    kept = [field for field in fields if _name(field) != b"connection"]
    return b"\r\n".join([first, *kept, b"connection: close", b"", b""])


def content_length(head: bytes) -> int | None:
    """How many bytes follow the head of an answer; None where the end of the connection says so."""
    for field in _lines(head):
        if _name(field) == b"content-length":
            return int(field.partition(b":")[2])
    return None


def _lines(head: bytes) -> list[bytes]:
    return head.removesuffix(END_OF_HEAD).split(b"\r\n")


def _name(field: bytes) -> bytes:
    return field.partition(b":")[0].strip().lower()


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter, length: float = inf) -> None:
    """Pass on so many bytes, or what comes until the end, and then the end itself."""
    while length > 0 and (data := await source.read(int(min(length, CHUNK_BYTES)))):
        length -= len(data)
        target.write(data)
        await target.drain()
    target.write_eof()


async def _hung_up(client: asyncio.StreamReader) -> None:
    """Return when the client has ended: to close while it sends would reset the answer that it has not read."""
    async with asyncio.timeout(LINGER_S):
        while await client.read(CHUNK_BYTES):
            pass
