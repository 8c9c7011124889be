"""Signals that wait, and one that asks."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def signals_held() -> Iterator[None]:
    """Hold SIGINT, SIGTERM and SIGHUP back until the block is done.

    A KeyboardInterrupt between the birth of a process and the assignment of its handle would lose
    it. Blocking the signals would not do: the process would inherit the mask, and ignore them.
    """
    if threading.current_thread() is not threading.main_thread():  # only there signals are handled
        yield
        return
    held: list[int] = []

    def hold(number: int, _: FrameType | None) -> None:
        held.append(number)

    handlers = {number: signal.signal(number, hold) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    for pending in held:
        signal.raise_signal(pending)


@contextmanager
def first_sigterm(tell: Callable[[], object]) -> Iterator[None]:
    """Call `tell` on a first SIGTERM within the block; a second one does what it did before the block."""
    before = signal.getsignal(signal.SIGTERM)

    def told(_: int, __: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, before)
        tell()

    signal.signal(signal.SIGTERM, told)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
