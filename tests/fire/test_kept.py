"""Refused bodies are let go."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]


@pytest.mark.slow
def test_nothing_is_kept() -> None:
    """Six rounds keep less than the smallest body of one, and no round's bytes outside of Python's memory."""
    command = [sys.executable, "-m", "tests.fire.kept"]
    path = {"PYTHONPATH": f"{PROJECT}/handlers"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=PROJECT, env=os.environ | path)
    (a_round, smallest), (traced, resident), (traced_later, resident_later) = (
        map(int, line.split()) for line in done.stdout.splitlines()
    )
    assert a_round > 100 * 2**20
    assert traced_later - traced < smallest
    assert resident_later - resident < a_round
