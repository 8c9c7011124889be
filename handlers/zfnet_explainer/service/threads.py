"""The thread that a worker computes on: urgent work, and work that gives way to other workers'."""

import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from enum import IntEnum
from typing import TypeVar

import torch

T = TypeVar("T")


class Priority(IntEnum):
    """Nicenesses on top of the process's: Linux gives a thread of 10 a tenth of what one of 0 gets beside it."""

    URGENT = 0
    LOW = 10


class OneThread:
    """Does one piece of work at a time on one thread, whose operations torch divides among `torch_threads`.

    Niceness can be raised by everybody and lowered by root alone, so work of another priority gets a new
    thread. The one before ends, and torch's with it: where there are more of those than cores, even idle
    ones, GCC's OpenMP lets threads sleep between operations, and an explanation takes a fifth longer. For
    the same reason the thread that makes this object is left with one.

    Linux gives every thread its own niceness; elsewhere all work runs at the usual one. Without `gives_way`, for a
    GPU, all work keeps one thread: niceness divides no GPU time, and cuDNN's plans belong to a thread. A new one would
    make them anew, and the old ones would never be freed.
    """

    def __init__(self, torch_threads: int, gives_way: bool = True) -> None:
        torch.set_num_threads(1)
        self._torch_threads, self._gives_way = torch_threads, gives_way
        self._priority = Priority.URGENT
        self._executor = self._start()

    def __call__(self, work: Callable[[], T], priority: Priority) -> T:
        """Do this work, raise what it raises, return what it returns."""
        if self._gives_way and priority != self._priority:
            self._executor.shutdown()
            self._priority = priority
            self._executor = self._start()
        return self._executor.submit(work).result()

    def _start(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(1, self._priority.name.lower(), self._begin)

    def _begin(self) -> None:
        if sys.platform == "linux":
            os.nice(self._priority)
        torch.set_num_threads(self._torch_threads)  # torch's threads belong to the one that started them


def here(work: Callable[[], T], _: Priority) -> T:
    """Do the work on the calling thread."""
    return work()
