"""Work on one other thread: it is done, it fails as it would have, and its threads alone give way."""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch

from zfnet_explainer.service.threads import OneThread, Priority, here

from ..needs import hardware
from .niceness import ORDER, TORCH_THREADS

PROJECT = Path(__file__).parents[2]
LINUX = hardware(sys.platform == "linux", "threads have a niceness of their own on Linux alone")


def test_work_of_one_priority_is_done_by_one_other_thread() -> None:
    run = OneThread(2)
    named = {run(threading.get_ident, Priority.LOW) for _ in range(3)}
    assert len(named) == 1
    assert threading.get_ident() not in named


def test_where_nothing_gives_way_one_thread_does_all() -> None:
    run = OneThread(2, gives_way=False)
    assert len({run(threading.get_ident, priority) for priority in (*Priority, *Priority)}) == 1


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
    """Those of one priority have ended when another's work."""
    paths = os.pathsep.join(str(path) for path in (PROJECT / "handlers", PROJECT))
    command = [sys.executable, "-m", "tests.service.niceness"]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": paths}, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    before, own = found["before"], os.getpriority(os.PRIO_PROCESS, 0)
    assert [one["priority"] for one in found["rounds"]] == list(ORDER)
    for one in found["rounds"]:
        during = one["during"]
        assert {thread: during[thread] for thread in before} == before
        new = [niceness for thread, niceness in during.items() if thread not in before]
        expected = min(19, own + one["priority"])
        assert new == [expected] * TORCH_THREADS, "the thread itself, and torch's that it started"


def test_here_is_the_calling_thread() -> None:
    assert here(threading.get_ident, Priority.LOW) == threading.get_ident()
