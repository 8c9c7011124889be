"""The tests that need a card."""

import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

from .task import Task

HANGING_S = 45  # that a test may take: one that hangs leaves time for the others
ENDING_S = 20  # that pytest has for its report where the stage, and pytest with it, is told to stop


def tests(task: Task) -> None:
    """Run them, and keep how many passed and which did not. Raises RuntimeError unless all did."""
    rehearsed = {} if task.device.type == "cuda" else {"REHEARSE_GPU": "1"}
    some = ["-k", "test_float32_is_float32_there"] if task.tiny else []
    report = task.file.with_suffix(".xml")
    report.unlink(missing_ok=True)
    command = [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", "-m", "gpu", "tests/gpu", *some]
    options = ["-o", f"timeout={HANGING_S}", f"--junitxml={report}"]
    process = subprocess.Popen([*command, *options], env=os.environ | rehearsed)  # noqa: S603
    try:
        process.wait()
    finally:
        process.wait(ENDING_S)
        if report.exists():
            task.keep(counted(report))
    if process.returncode:
        raise RuntimeError(f"pytest ended with exit status {process.returncode}")


def counted(report: Path) -> dict[str, object]:
    """How many tests passed, failed and were skipped, and what became of those that did not pass.

    A test that was interrupted has no name there, and does not count: the log names it.
    """
    cases = ElementTree.parse(report).iter("testcase")  # noqa: S314
    outcomes = {f"{case.get('classname')}::{case.get('name')}": _outcome(case) for case in cases if case.get("name")}
    counts = {one: list(outcomes.values()).count(one) for one in ("passed", "failed", "skipped")}
    return counts | {"not_passed": {name: one for name, one in outcomes.items() if one != "passed"}}


def _outcome(case: ElementTree.Element) -> str:
    if case.find("failure") is not None or case.find("error") is not None:
        return "failed"
    return "passed" if case.find("skipped") is None else "skipped"
