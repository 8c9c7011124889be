"""The tests that need a card."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from xml.etree import ElementTree

from .task import Task


def tests(task: Task) -> None:
    """Run them, and keep how many passed and which did not. Raises RuntimeError unless all did."""
    rehearsed = {} if task.device.type == "cuda" else {"REHEARSE_GPU": "1"}
    some = ["-k", "test_float32_is_float32_there"] if task.tiny else []
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.xml")
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "gpu", "tests/gpu", *some]
        done = subprocess.run([*command, f"--junitxml={report}"], env=os.environ | rehearsed)  # noqa: S603
        cases = ElementTree.parse(report).iter("testcase") if report.exists() else []  # noqa: S314
        outcomes = {f"{case.get('classname')}::{case.get('name')}": _outcome(case) for case in cases}
    counts = {one: list(outcomes.values()).count(one) for one in ("passed", "failed", "skipped")}
    task.keep(counts | {"not_passed": {name: one for name, one in outcomes.items() if one != "passed"}})
    if done.returncode:
        raise RuntimeError(f"pytest ended with exit status {done.returncode}")


def _outcome(case: ElementTree.Element) -> str:
    if case.find("failure") is not None or case.find("error") is not None:
        return "failed"
    return "passed" if case.find("skipped") is None else "skipped"
