"""What a run says that it left out, of a suite of three tests."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]
SUITE = """
import pytest

@pytest.mark.slow
def test_one(): pass

@pytest.mark.container
def test_two(): pass

def test_three(): pass
"""
PLUGIN = """
from tests.left_out import LeftOut

def pytest_configure(config):
    config.addinivalue_line("markers", "slow:")
    config.addinivalue_line("markers", "container:")
    config.pluginmanager.register(LeftOut())
"""
BOTH = ["1 test of the container: make container", "1 test of the slow ones: make slow"]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("-m", "not slow and not container"), BOTH),
        (("-p", "xdist", "-n", "2", "-m", "not slow and not container"), BOTH),
        (("-m", "not container"), ["1 test of the container: make container"]),
        (("-m", "not slow", "-k", "three"), []),
        ((), []),
    ],
    ids=["quick", "quick in two processes", "whole", "a part", "all"],
)
def test_tests_that_nobody_asked_for_are_told(tmp_path: Path, options: tuple[str, ...], told: list[str]) -> None:
    (tmp_path / "test_suite.py").write_text(SUITE)
    (tmp_path / "conftest.py").write_text(PLUGIN)
    environment = os.environ | {"PYTHONPATH": str(PROJECT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *options, str(tmp_path)]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    lines = [line.removeprefix("not run: ") for line in done.stdout.splitlines() if line.startswith("not run: ")]
    assert done.returncode == 0, done.stdout
    assert "crashed" not in done.stdout
    assert lines == told
