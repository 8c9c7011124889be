"""What a person sees of a run: one line an epoch, and a bar with the time left of all of it."""

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column

from .recipe import Recipe

EVERY_S = 1.0


class Bar:
    """Progress of a run of which `done` epochs, of `steps` steps each, are behind it.

    A step counts as many units as a crop has pixels: what it takes of the time, near enough.
    """

    def __init__(self, recipe: Recipe, done: int, steps: int, console: Console) -> None:
        self.recipe, self.steps = recipe, steps
        columns = (
            TextColumn("{task.description}"),
            BarColumn(bar_width=None, table_column=Column(ratio=1)),
            TextColumn("{task.fields[found]}", table_column=Column()),  # in two lines where there is no room for one
            TimeRemainingColumn(),
            TextColumn("left"),
        )
        self.progress = Progress(*columns, console=console, expand=True)
        self.task = self.progress.add_task("", total=self._units(recipe.epochs), completed=self._units(done), found="")
        self.epoch, self.begun, self.shown = done, 0.0, 0.0

    def __enter__(self) -> Self:
        self.progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.progress.stop()

    def begin(self, epoch: int) -> None:
        self.epoch, self.begun = epoch, time.monotonic()
        title = f"epoch {epoch + 1}/{self.recipe.epochs}, {self.recipe.side(epoch)} px"
        self.progress.update(self.task, description=title, completed=self._units(epoch), found="")

    def due(self) -> bool:
        """Whether the last numbers were shown a second ago."""
        return time.monotonic() - self.shown > EVERY_S

    def show(self, step: int, loss: float, right: float) -> None:
        """Numbers of the epoch so far, `step` steps into it."""
        self.shown = time.monotonic()
        rate = step * self.recipe.batch / (self.shown - self.begun)
        self.progress.update(
            self.task,
            completed=self._units(self.epoch) + step * self.recipe.side(self.epoch) ** 2,
            found=f"loss {loss:.3f}, top-1 {right:.1%}, {rate:.0f} images/s",
        )

    def end(self, line: str) -> None:
        """The epoch is done: a line that stays."""
        self.progress.update(self.task, completed=self._units(self.epoch + 1))
        self.progress.console.print(line, highlight=False)

    def _units(self, epochs: int) -> int:
        """Of that many epochs from the first on."""
        return sum(self.steps * self.recipe.side(epoch) ** 2 for epoch in range(epochs))
