"""Work at a lower priority: it is done, it fails as it would have, and its threads alone give way."""

import os
import sys
import threading
from pathlib import Path

import pytest
import torch

from zfnet_explainer.background import NICENESS, Background


def nicenesses() -> dict[int, int]:
    """The niceness of this process's threads by their ids."""
    threads = [int(task.name) for task in Path("/proc/self/task").iterdir()]
    return {thread: os.getpriority(os.PRIO_PROCESS, thread) for thread in threads}


def test_work_is_done_by_one_other_thread() -> None:
    background = Background()
    named = {background(threading.get_ident) for _ in range(3)}
    assert len(named) == 1
    assert threading.get_ident() not in named


def test_what_it_raises_is_raised_here() -> None:
    def fail() -> None:
        raise KeyError("layer9")

    background = Background()
    with pytest.raises(KeyError, match="layer9"):
        background(fail)
    assert background(lambda: 5) == 5, "and the next work is done"


@pytest.mark.skipif(sys.platform != "linux", reason="threads have a niceness of their own on Linux alone")
def test_its_threads_give_way_and_no_others() -> None:
    wanted = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        torch.randn(400, 400) @ torch.randn(400, 400)
        before = nicenesses()
        background = Background()

        def work() -> int:
            for _ in range(3):
                torch.randn(400, 400) @ torch.randn(400, 400)
            return torch.get_num_threads()

        threads = background(work)
        after = nicenesses()
    finally:
        torch.set_num_threads(wanted)
    assert threads == 3
    assert {thread: after[thread] for thread in before if thread in after} == before
    new = [niceness for thread, niceness in after.items() if thread not in before]
    lower = min(19, os.getpriority(os.PRIO_PROCESS, 0) + NICENESS)
    assert new.count(lower) == len(new) >= 3, "the thread itself, and torch's that it started"
