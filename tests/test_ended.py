"""SIGTERM to a run of tests: fixtures stop what they have started."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from .ended import end
from .waiting import wait_for

PROJECT = Path(__file__).parents[1]
# The test tells the id, not the fixture: by then what the fixture started is its to stop. Closing it takes longer than
# the five seconds that are left of xdist's patience once it has interrupted the test.
TEST = """
import os, subprocess, time
from pathlib import Path
import pytest

@pytest.fixture(scope="session")
def sleeper():
    with subprocess.Popen(["sleep", "600"]) as process:
        try:
            yield process.pid
        finally:
            time.sleep(6 if "PYTEST_XDIST_WORKER" in os.environ else 0)
            process.kill()

def test(sleeper):
    Path("pid").write_text(f"{sleeper}\\n")
    time.sleep(600)
"""


def test_this_run_ends_so() -> None:
    assert signal.getsignal(signal.SIGTERM) is end


@pytest.mark.parametrize("processes", [[], ["-n", "1"]], ids=["alone", "with a worker"])
def test_nothing_is_left_of_a_run_that_gets_sigterm(tmp_path: Path, processes: list[str]) -> None:
    (tmp_path / "test_sleeps.py").write_text(TEST)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    command = [sys.executable, "-m", "pytest", "-p", "tests.ended", *processes, "test_sleeps.py"]
    environment = os.environ | {"PYTHONPATH": str(PROJECT), "PYTEST_ADDOPTS": ""}
    told = tmp_path / "pid"
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True) as run:
        try:
            wait_for(lambda: told.exists() and told.read_text().endswith("\n"), "no test has begun")
            sleeper = int(told.read_text())
            run.terminate()
            output, _ = run.communicate()
        finally:
            run.kill()
    try:
        assert run.returncode == pytest.ExitCode.INTERRUPTED, output
        assert not psutil.pid_exists(sleeper)
    finally:
        if psutil.pid_exists(sleeper):
            psutil.Process(sleeper).kill()
