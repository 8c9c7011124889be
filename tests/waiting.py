"""Waiting for something to become true, with an end."""

import time
from collections.abc import Callable

# Long enough for the busiest machine: what takes longer does not come.
PATIENCE_S = 120


def wait_for(condition: Callable[[], bool], otherwise: str, seconds: float = PATIENCE_S) -> None:
    """Return once the condition holds; fail, and say what was waited for, where it never does."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.02)
