"""From the moment a server is ready until it has answered its last request."""

import asyncio
from collections.abc import Callable

from .errors import ServingError
from .front import Front
from .server import RunningServer
from .signals import first_sigterm

POLL_S = 0.25


def attend(server: RunningServer, front: Front, drain_seconds: float, report: Callable[[str], None]) -> None:
    """Let requests through until SIGTERM; then close the port, and return when all are answered.

    Ctrl-C, and a second SIGTERM, are a KeyboardInterrupt and wait for nothing. Raises ServingError where the server
    ends by itself, or clients are left without their answers after `drain_seconds`.
    """
    asyncio.run(_attend(server, front, drain_seconds, report))


async def _attend(server: RunningServer, front: Front, drain_seconds: float, report: Callable[[str], None]) -> None:
    loop = asyncio.get_running_loop()
    asked_to_leave = asyncio.Event()
    with first_sigterm(lambda: loop.call_soon_threadsafe(asked_to_leave.set)):
        front.start()
        await _while_alive(server, asyncio.create_task(asked_to_leave.wait()))
        server.folder.leaving.touch()
        front.close()
        report(f"port closed, {front.connections} connected")
        drained = asyncio.create_task(front.drained(drain_seconds))
        await _while_alive(server, drained)
    if not drained.result():
        raise ServingError(f"{front.connections} requests were not answered within {drain_seconds:g} s of SIGTERM")


async def _while_alive(server: RunningServer, task: asyncio.Task[bool]) -> None:
    """Wait for the task; raise ServingError where the server ends before."""
    while not task.done():
        server.check_alive()
        await asyncio.wait({task}, timeout=POLL_S)
