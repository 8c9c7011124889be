"""How far a run is: a step counts by the pixels of its crops."""

import io

import pytest
from rich.console import Console

from zfnet_explainer.training.bar import Bar

from .runs import RECIPE


def test_steps_count_as_many_units_as_a_crop_has_pixels() -> None:
    """One epoch at 29 pixels and two at 37, of two steps each; the first is done."""
    bar = Bar(RECIPE, 1, 2, Console(file=io.StringIO()))
    [task] = bar.progress.tasks
    assert (task.total, task.completed) == (2 * (29**2 + 2 * 37**2), 2 * 29**2)
    bar.begin(1)
    assert (task.description, task.completed) == ("epoch 2/3, 37 px", 2 * 29**2)
    bar.show(1, 1.5, 0.25)
    assert task.completed == 2 * 29**2 + 37**2
    assert task.fields["found"].startswith("loss 1.500, top-1 25.0%, ")
    bar.end("epoch 2")
    bar.begin(2)
    bar.end("epoch 3")
    assert task.completed == task.total


@pytest.mark.parametrize("width", [50, 60, 80, 120])
def test_the_time_left_is_shown_on_a_narrow_terminal(width: int) -> None:
    console = Console(file=io.StringIO(), width=width)
    bar = Bar(RECIPE, 0, 2, console)
    bar.begin(0)
    bar.show(1, 1.5, 0.25)
    console.print(bar.progress.get_renderable())
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert shown.startswith("epoch 1/3, 29 px ")
    assert "-:--:-- left" in shown, "no step tells the time yet"
    assert {"loss", "1.500,", "top-1", "25.0%,", "images/s"} <= set(shown.split())
