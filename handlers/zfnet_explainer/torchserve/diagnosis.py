"""Why a server did not come up, read from its logs."""

import re
from collections.abc import Iterable
from pathlib import Path

# What TorchServe says after the cause: that its second attempt to import the handler failed too, and
# that a worker has ended.
AFTERMATH = re.compile(r"^ModuleNotFoundError: No module named 'ts\.torch_handler\.|^RuntimeError: \d{3} - ")
WORKER_LINE = re.compile(r"^\S+ \[\w+ *\] (?P<thread>\S+) MODEL_LOG - (?P<text>.*)$")
JAVA_EXCEPTION = re.compile(r"^(Invalid configuration: |(Caused by: )?([a-z]\w*\.)+[\w$]*(Exception|Error)\b)")
# Java itself did not start: it says why in this line, or beside it.
NO_JAVA = re.compile(r"^(Error: |Error occurred during initialization of VM$)")
RETRY = "Retry worker:"
# TorchServe stops reading a worker's output as soon as it knows that it has ended, and may lose the last of it: the
# next worker says it again.
SILENT_DEATHS = 3


def worker_died(logs: Path) -> bool:
    """Whether TorchServe has lost a worker and is about to try again."""
    return _deaths(logs) > 0


def will_not_load(logs: Path) -> bool:
    """Whether workers die of what can be told, or again and again without a word."""
    deaths = _deaths(logs)
    return deaths >= SILENT_DEATHS or (deaths > 0 and bool(_raised(_lines(logs / "model_log.log"))))


def worker_cause(logs: Path) -> str:
    """Why a worker died: its last real exception, else the last it wrote to stderr."""
    output = _lines(logs / "model_log.log")
    if raised := _raised(output):
        return raised[-1]
    matches = [m for line in output if (m := WORKER_LINE.match(line)) and m["thread"].endswith("-stderr")]
    if matches:
        return f"a worker ended without an exception; the last it wrote: {matches[-1]['text']}"
    return "a worker ended without an exception, as one does that is killed for want of memory"


def server_cause(logs: Path) -> str:
    """Why TorchServe itself ended: the last exception in its log or on its console, or why Java did not start."""
    console = _lines(logs / "java.log")
    if any(map(NO_JAVA.match, console)):
        return "; ".join([line for line in console if not line.startswith(("NOTE: ", "WARNING: "))][:2])
    raised = [line for line in _lines(logs / "ts_log.log") + console if JAVA_EXCEPTION.match(line)]
    return raised[-1] if raised else "no exception was logged"


def worker_exceptions(lines: Iterable[str]) -> list[str]:
    """The closing line of every traceback in the workers' output, in order."""
    raised: list[str] = []
    in_traceback: set[str] = set()  # by thread: the outputs of several workers are interleaved
    for line in lines:
        if (match := WORKER_LINE.match(line)) is None:
            continue
        thread, text = match["thread"], match["text"]
        if text.startswith("Traceback "):
            in_traceback.add(thread)
        elif thread in in_traceback and text and not text.startswith(" "):
            in_traceback.remove(thread)
            raised.append(text)
    return raised


def _deaths(logs: Path) -> int:
    return sum(RETRY in line for line in _lines(logs / "ts_log.log"))


def _raised(output: list[str]) -> list[str]:
    return [line for line in worker_exceptions(output) if not AFTERMATH.match(line)]


def _lines(path: Path) -> list[str]:
    return path.read_text(errors="replace").splitlines() if path.exists() else []
