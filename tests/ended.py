"""A run that is told to end (a time limit, a cancelled job, `docker stop`) ends as after Ctrl-C.

Otherwise Python is gone at once, and servers that fixtures have started run on for good.
"""

import os
import signal
from contextlib import suppress
from types import FrameType
from typing import Any

import pytest

from .waiting import PATIENCE_S

_workers: list[Any] = []  # xdist's, in the process that controls them


def pytest_configure() -> None:
    """In every process of the run: SIGTERM may come to one of them or to all."""
    signal.signal(signal.SIGTERM, end)


def end(_number: int, _frame: FrameType | None) -> None:
    """Once: a second signal, which the controller sends to those that had theirs, would interrupt closing fixtures."""
    signal.signal(signal.SIGTERM, _ending)
    raise KeyboardInterrupt


def _ending(_number: int, _frame: FrameType | None) -> None:
    """Not SIG_IGN, which what a fixture starts to close itself would inherit."""


@pytest.hookimpl(optionalhook=True)
def pytest_testnodeready(node: Any) -> None:
    _workers.append(node)


def pytest_keyboard_interrupt() -> None:
    """Have workers close their fixtures before xdist ends, which kills those that are not done ten seconds later."""
    if signal.getsignal(signal.SIGTERM) is end:
        return  # Ctrl-C, which the terminal has sent to the workers too
    running = [worker for worker in _workers if not worker.channel.isclosed()]
    for worker in running:
        os.kill(worker.gateway._rinfo().pid, signal.SIGTERM)  # xdist has asked for it: no round trip
    for worker in running:
        with suppress(EOFError, worker.channel.RemoteError):  # it has ended, too
            worker.channel.waitclose(PATIENCE_S)
