"""The learning curve of a run: `log.csv` and TensorBoard's events."""

import csv
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..atomic import whole
from .events import Events

Row = dict[str, float]
ACCURACIES = {"val_top1": "validation top-1", "held_back_top1": "held-back top-1"}  # a run has one of the two
RECORDED = ("epoch", "side", "loss", *ACCURACIES)  # what a record keeps of a row


def read_log(out: Path) -> list[Row]:
    """The rows of a run's `log.csv`, one an epoch; none where there is none."""
    path = out / "log.csv"
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return [{name: _number(text) for name, text in row.items()} for row in csv.DictReader(file)]


def accuracies(rows: Sequence[Row]) -> dict[str, str]:
    """What was measured after each epoch of some rows, and what it is called; several where runs differ in it."""
    return {name: title for name, title in ACCURACIES.items() if any(name in row for row in rows)}


def runs_of(training: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The runs that led to a net, by its record's `training`: the one that it started from first, and itself last."""
    start = training.get("start")
    return [*(runs_of(start) if start else []), training]


class Log:
    """The rows of the first `epochs` epochs, and those that are added to them; `tell` hears where TensorBoard's end."""

    def __init__(self, out: Path, epochs: int, tell: Callable[[str], None]) -> None:
        self.path = out / "log.csv"
        self.rows = read_log(out)[:epochs]
        self._events = Events(out / "tensorboard", tell)
        self._events.add(self.rows)

    def add(self, row: Row) -> None:
        """Log an epoch; `log.csv` is replaced as a whole, so that a kill leaves no half of a row."""
        self.rows.append(row)
        with whole(self.path) as staged, staged.open("w", newline="") as file:
            writer = csv.DictWriter(file, row)
            writer.writeheader()
            writer.writerows(self.rows)
        self._events.add([row])


def _number(text: str) -> float:
    return int(text) if text.isdigit() else float(text)
