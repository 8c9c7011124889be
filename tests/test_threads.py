"""Work on one other thread: it is done, it fails as it would have, and its threads alone give way."""

import os
import sys
import threading
import time
from pathlib import Path

import pytest
import torch

from zfnet_explainer.threads import OneThread, Priority, here

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="threads have a niceness of their own on Linux alone")


def nicenesses() -> dict[int, int]:
    """The niceness of this process's threads by their ids."""
    threads = [int(task.name) for task in Path("/proc/self/task").iterdir()]
    return {thread: os.getpriority(os.PRIO_PROCESS, thread) for thread in threads}


def multiply() -> dict[int, int]:
    """Work that torch divides among its threads; the nicenesses while it is done."""
    for _ in range(3):
        torch.randn(400, 400) @ torch.randn(400, 400)
    return nicenesses()


def test_work_of_one_priority_is_done_by_one_other_thread() -> None:
    run = OneThread(2)
    named = {run(threading.get_ident, Priority.LOW) for _ in range(3)}
    assert len(named) == 1
    assert threading.get_ident() not in named


def test_what_it_raises_is_raised_here() -> None:
    def fail() -> None:
        raise KeyError("layer9")

    run = OneThread(2)
    with pytest.raises(KeyError, match="layer9"):
        run(fail, Priority.LOW)
    assert run(lambda: 5, Priority.LOW) == 5, "and the next work is done"
    assert run(lambda: 6, Priority.URGENT) == 6


def test_torch_has_its_threads_there_and_none_here() -> None:
    run = OneThread(3)
    assert torch.get_num_threads() == 1
    assert [run(torch.get_num_threads, priority) for priority in (*Priority, *Priority)] == [3] * 4


@LINUX
def test_threads_give_way_by_the_works_priority_and_no_others_do() -> None:
    before = nicenesses()
    own = os.getpriority(os.PRIO_PROCESS, 0)
    run = OneThread(3)
    for priority in (Priority.URGENT, Priority.LOW, Priority.URGENT, Priority.LOW):
        during = run(multiply, priority)
        assert {thread: during[thread] for thread in before if thread in during} == before
        new = [niceness for thread, niceness in during.items() if thread not in before]
        assert new.count(min(19, own + priority)) >= 3, "the thread itself, and torch's that it started"


@LINUX
def test_one_priority_s_threads_have_ended_when_another_s_work() -> None:
    run = OneThread(3)
    before = set(nicenesses())
    for _ in range(3):
        for priority in Priority:
            run(multiply, priority)
    deadline = time.monotonic() + 60  # torch's threads end a moment after the one that started them
    while len(new := set(nicenesses()) - before) > 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(new) <= 3


def test_here_is_the_calling_thread() -> None:
    assert here(threading.get_ident, Priority.LOW) == threading.get_ident()
