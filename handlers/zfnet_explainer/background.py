"""Work that gives way to other work on the same cores."""

import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

# Linux gives a thread of this niceness a tenth of the time that an ordinary one gets beside it.
NICENESS = 10

T = TypeVar("T")


class Background:
    """One thread of low priority, and torch's threads that it starts, for which the caller waits.

    A thread of its own because niceness can be raised by everybody and lowered by root alone. Linux
    gives every thread its own; elsewhere the work runs at the usual priority.
    """

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(1, "background", self._begin, (torch.get_num_threads(),))

    def __call__(self, work: Callable[[], T]) -> T:
        """Do this work, raise what it raises, return what it returns."""
        return self._executor.submit(work).result()

    @staticmethod
    def _begin(threads: int) -> None:
        if sys.platform == "linux":
            os.nice(NICENESS)
        torch.set_num_threads(threads)  # torch's threads belong to the one that started them, priority and number
