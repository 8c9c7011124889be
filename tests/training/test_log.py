"""The log of a run: what happens where TensorBoard's part of it cannot be written."""

import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from zfnet_explainer.training.log import Log, Row, read_log
from zfnet_explainer.training.recipe import Phase

from .runs import HERE, RECIPE, SIDE, log, scalars, trainer


def test_where_tensorboards_folder_is_lost_the_log_goes_on_without_it(tmp_path: Path) -> None:
    told: list[str] = []
    rows: list[Row] = [{"epoch": epoch, "loss": 1 / epoch, "val_top1": 0.5} for epoch in range(1, 41)]
    curve, folder = Log(tmp_path, 0, told.append), tmp_path / "tensorboard"
    for row in rows:
        if row["epoch"] == 20:
            folder.rename(tmp_path / "before")
            folder.write_text("a file in its place")
        curve.add(row)
    assert read_log(tmp_path) == rows
    [line] = told
    assert line.startswith(f"TensorBoard's log {folder}/events.out.tfevents.")
    assert line.endswith(" ends here (File exists); log.csv goes on")
    folder.unlink()
    again = Log(tmp_path, 30, told.append)
    again.add(rows[30])
    assert scalars(tmp_path) == {
        (name, row["epoch"]): pytest.approx(row[name]) for row in rows[:31] for name in ("loss", "val_top1")
    }
    assert len(told) == 1


def test_a_run_says_that_tensorboard_is_not_told(tmp_path: Path) -> None:
    (tmp_path / "tensorboard").write_text("a file of the user's")
    console = Console(file=io.StringIO(), width=60)
    trainer(tmp_path, replace(RECIPE, phases=(Phase(SIDE, 2),)), process=replace(HERE, console=console)).run()
    assert [row["epoch"] for row in log(tmp_path)] == ["1", "2"]
    said = console.file.getvalue()  # type: ignore[attr-defined]
    assert said.count(" ends here (") == said.count("log.csv goes on") == 1
    assert (tmp_path / "tensorboard").read_text() == "a file of the user's"
