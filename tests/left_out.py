"""What a run left out: told in its closing lines, and a failure where CI is set, but for hardware that is missing."""

import os
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest

from .needs import HARDWARE

# Tests that have to be asked for by their mark: which they are, and how.
OPT_IN = {"container": ("of the container", "make container"), "slow": ("of the slow ones", "make slow")}


class LeftOut:
    """Counts skipped tests by reason, and those that nobody asked for, also of other processes."""

    def __init__(self) -> None:
        self.skipped: Counter[str] = Counter()
        self.unasked: Counter[str] = Counter()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.skipped and isinstance(report.longrepr, tuple):
            self.skipped[report.longrepr[2].removeprefix("Skipped: ")] += 1

    def pytest_deselected(self, items: Sequence[pytest.Item]) -> None:
        if items[0].config.option.keyword:
            return  # somebody asked for a part
        marks = Counter(mark for item in items for mark in OPT_IN if item.get_closest_marker(mark))
        self.unasked.update(marks)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Another process of this run has ended: all of them have deselected the same."""
        self.unasked = Counter(getattr(node, "workeroutput", {}).get("unasked", self.unasked))

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if hasattr(session.config, "workeroutput"):
            session.config.workeroutput["unasked"] = dict(self.unasked)  # execnet knows no Counter
        elif self.failures() and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        for reason, count in sorted(self.skipped.items()):
            terminalreporter.write_line(f"not run: {count} {'test' if count == 1 else 'tests'}: {reason}")
        for mark, count in sorted(self.unasked.items()):
            which, how = OPT_IN[mark]
            terminalreporter.write_line(f"not run: {count} {'test' if count == 1 else 'tests'} {which}: {how}")
        if self.failures():
            terminalreporter.write_line(
                "CI runs every test that the machine is built for: this run has failed", red=True
            )

    def failures(self) -> list[str]:
        """Reasons that are none in CI."""
        return [reason for reason in self.skipped if "CI" in os.environ and not reason.startswith(HARDWARE)]
