"""Ports of this machine that nobody uses."""

import os
import platform
import random
import socket
import sys
from contextlib import ExitStack, suppress
from pathlib import Path

from .errors import ServingError

LOOPBACK = "127.0.0.1"
WORKER_PORT = 9000
APPLE_SILICON = (sys.platform, platform.machine()) == ("darwin", "arm64")
WORKERS = 64  # more than a server has
BELOW_EPHEMERAL = range(20_000, 32_000)


def free_ports(count: int) -> list[int]:
    """Ports of the loopback that nobody uses, nor is given for some time unless it names them.

    Each had a connection that its own end closed: it stays in TIME_WAIT (a minute on Linux), and until then
    the system gives the port to no client and to no listener that takes any port.
    """
    listeners = [bound(LOOPBACK, 0) for _ in range(count)]
    ports = [listener.getsockname()[1] for listener in listeners]
    for listener in listeners:
        with listener:
            listener.listen()
            with socket.create_connection(listener.getsockname()) as client:
                listener.accept()[0].close()
                client.recv(1)  # nothing: the other end closed first, and it is its port that is kept
    return ports


def worker_port(temporary: Path) -> int:
    """The first of a server's workers' ports: TorchServe's own, or where they listen on them those that nobody uses.

    They do where Java has no Unix sockets: its library for them is executed from the folder `temporary`, which a mount
    may forbid, and has nothing for Apple silicon. Raises ServingError as `free_row` does.
    """
    noexec = os.statvfs(temporary).f_flag & getattr(os, "ST_NOEXEC", 0)
    return free_row() if noexec or APPLE_SILICON else WORKER_PORT


def free_row() -> int:
    """The first of as many ports of the loopback in a row that nobody uses as a server may have workers.

    Any one of such rows, below the ports that a system gives away by itself. Raises ServingError where none is free.
    """
    rows = BELOW_EPHEMERAL[::WORKERS]
    for first in random.sample(rows, len(rows)):
        with ExitStack() as listeners, suppress(OSError):
            for port in range(first, first + WORKERS):
                listeners.enter_context(bound(LOOPBACK, port))
            return first
    raise ServingError(f"no {WORKERS} ports in a row are free from {rows[0]} on: end programs that listen there")


def bound(host: str, port: int) -> socket.socket:
    """A socket that is bound to the port. Raises OSError where that cannot be."""
    one = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as Java does: TIME_WAIT is no obstacle
        one.bind((host, port))
    except OSError:
        one.close()
        raise
    return one
