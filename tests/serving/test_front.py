"""The front against servers of a few lines on the loopback: what goes through it, and how it closes."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from zfnet_explainer.serving.config import free_ports
from zfnet_explainer.serving.errors import ServingError
from zfnet_explainer.serving.front import Front, closing, content_length

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
HEAD = b"POST /x HTTP/1.1\r\nHost: zfnet\r\n\r\n"
ANSWERED = b"HTTP/1.1 200 OK\r\nX-Echo: 1\r\nContent-Length: %d\r\nconnection: close\r\n\r\n"


@asynccontextmanager
async def front_of(handler: Handler) -> AsyncIterator[tuple[Front, int]]:
    """A front on a free port, not started, before a server with this handler."""
    server_port, port = free_ports(2)
    server = await asyncio.start_server(handler, "127.0.0.1", server_port)
    with Front("127.0.0.1", port, server_port) as front:
        yield front, port
    server.close()


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send back what comes, up to and with its end `!`, and keep the connection open as TorchServe does."""
    received = b""
    while not received.endswith(b"!"):
        received += await reader.read(2**20)
    head = b"HTTP/1.1 200 OK\r\nX-Echo: 1\r\nContent-Length: %d\r\nConnection: keep-alive\r\n\r\n"
    writer.write(head % len(received) + received)
    await never(reader, writer)


def echoed(request: bytes) -> bytes:
    """What a client reads."""
    return ANSWERED % len(request) + request


async def never(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Read until the client has left."""
    try:
        await reader.read()
    finally:
        writer.close()


async def asked(port: int, request: bytes) -> bytes:
    return await asked_on(socket.create_connection(("127.0.0.1", port)), request)


async def asked_on(connection: socket.socket, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(sock=connection)
    try:
        writer.write(request)
        return await reader.read()
    finally:
        writer.close()
        await writer.wait_closed()


@pytest.mark.parametrize("size", [0, 1, 2**16 - 1, 2**16, 5_000_003])
def test_carries_bodies_of_any_size_both_ways(size: int) -> None:
    body = (bytes(range(34, 256)) * (size // 222 + 1))[:size] + b"!"  # the only one

    async def run() -> bytes:
        async with front_of(echo) as (front, port):
            front.start()
            return await asked(port, HEAD + body)

    assert asyncio.run(run()) == echoed(HEAD + body)


@pytest.mark.parametrize(
    ("fields", "kept"),
    [
        (b"", b""),
        (b"Connection: keep-alive\r\nAccept: */*\r\n", b"Accept: */*\r\n"),
        (b"CONNECTION : Upgrade, TE\r\nconnection:close\r\nX-Connection: a:b\r\n", b"X-Connection: a:b\r\n"),
    ],
)
def test_an_answer_is_the_last_on_its_connection(fields: bytes, kept: bytes) -> None:
    first = b"HTTP/1.1 200 OK\r\n"
    assert closing(first + fields + b"\r\n") == first + kept + b"connection: close\r\n\r\n"


@pytest.mark.parametrize(
    ("fields", "length"),
    [
        (b"", None),
        (b"content-length: 17\r\n", 17),
        (b"A: 1\r\nContent-Length:0\r\n", 0),
        (b"X-Content-Length: 5\r\n", None),
    ],
)
def test_reads_how_long_an_answer_is(fields: bytes, length: int | None) -> None:
    assert content_length(b"HTTP/1.1 200 OK\r\n" + fields + b"\r\n") == length


@pytest.mark.parametrize(
    ("request_", "sent", "read"),
    [
        (HEAD, b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
         b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\nconnection: close\r\n\r\nok"),
        (b"HEAD /x HTTP/1.1\r\n\r\n", b"HTTP/1.1 405 No\r\nContent-Length: 7\r\n\r\n",
         b"HTTP/1.1 405 No\r\nContent-Length: 7\r\nconnection: close\r\n\r\n"),
        (HEAD, b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n",
         b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nconnection: close\r\n\r\n"),
    ],
)  # fmt: skip
def test_ends_where_the_answer_ends(request_: bytes, sent: bytes, read: bytes) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(sent)
        await never(reader, writer)

    async def run() -> bytes:
        async with front_of(answer) as (front, port):
            front.start()
            return await asked(port, request_)

    assert asyncio.run(run()) == read


def test_an_answer_without_length_ends_with_its_connection() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\none ")
        await writer.drain()
        writer.write(b"two")
        writer.close()

    async def run() -> bytes:
        async with front_of(answer) as (front, port):
            front.start()
            return await asked(port, HEAD)

    assert asyncio.run(run()) == b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\none two"


def test_who_waits_to_be_accepted_when_it_closes_is_answered() -> None:
    async def run() -> list[bytes]:
        async with front_of(echo) as (front, port):
            clients = [socket.create_connection(("127.0.0.1", port)) for _ in range(5)]
            front.start()
            front.close()
            assert front.connections == 5
            answers = await asyncio.gather(*(asked_on(client, HEAD + b"%d!" % i) for i, client in enumerate(clients)))
            assert await front.drained(10)
            return answers

    assert asyncio.run(run()) == [echoed(HEAD + b"%d!" % number) for number in range(5)]


def test_who_is_connected_when_it_closes_may_still_ask_and_nobody_else_may_connect() -> None:
    async def run() -> bytes:
        async with front_of(echo) as (front, port):
            front.start()
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            await asyncio.sleep(0)
            front.close()
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection("127.0.0.1", port)
            writer.write(HEAD + b"late!")
            answer = await reader.read()
            writer.close()
            assert await front.drained(10)
            return answer

    assert asyncio.run(run()) == echoed(HEAD + b"late!")


def test_who_never_asks_holds_nothing_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zfnet_explainer.serving.front.LATE_HEAD_S", 0.05)

    async def run() -> bytes:
        async with front_of(echo) as (front, port):
            front.start()
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET /x HTTP/1.1\r\n")
            front.close()
            assert await front.drained(10)
            rest = await reader.read()
            writer.close()
            return rest

    assert asyncio.run(run()) == b""


def test_says_when_somebody_is_left_without_an_answer() -> None:
    async def run() -> tuple[bool, int]:
        async with front_of(never) as (front, port):
            front.start()
            client = asyncio.create_task(asked(port, HEAD))
            while not front.connections:
                await asyncio.sleep(0)
            front.close()
            drained, connections = await front.drained(0.1), front.connections
            client.cancel()
            return drained, connections

    assert asyncio.run(run()) == (False, 1)


def test_a_head_without_end_is_refused() -> None:
    async def run() -> bytes:
        async with front_of(echo) as (front, port):
            front.start()
            return await asked(port, b"GET /x HTTP/1.1\r\nX: " + b"a" * 2**17)

    assert asyncio.run(run()).startswith(b"HTTP/1.1 431 ")


def test_a_server_that_hangs_up_ends_the_connection() -> None:
    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    async def run() -> bytes:
        async with front_of(hang_up) as (front, port):
            front.start()
            return await asked(port, HEAD)

    assert asyncio.run(run()) == b""


def test_a_taken_port_is_said() -> None:
    (port,) = free_ports(1)
    with socket.create_server(("127.0.0.1", port)), pytest.raises(ServingError, match=f"port {port} was lost"):
        Front("127.0.0.1", port, 1)
