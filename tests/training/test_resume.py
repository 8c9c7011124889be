"""A training run of seconds: killed, resumed, started from another, refused."""

import json
import re
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch.optim.swa_utils import AveragedModel

from zfnet_explainer.net.record import Preprocessing
from zfnet_explainer.training import loop
from zfnet_explainer.training.recipe import Recipe
from zfnet_explainer.training.state import Metadata, save_state

from ..room import room_for
from .runs import HERE, PREPROCESSING, RECIPE, SIDE, log, scalars, told, trainer


def without_speed(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    return [{key: value for key, value in row.items() if key != "images_per_s"} for row in rows]


def assert_same_state(found: Path, expected: Path) -> None:
    """As close as rounding leaves two runs: a momentum or a picture that is lost is a thousand times as much."""
    ours, theirs = load_file(found / "state.safetensors"), load_file(expected / "state.safetensors")
    assert ours.keys() == theirs.keys()
    for name, value in theirs.items():
        torch.testing.assert_close(ours[name], value, rtol=1e-5, atol=1e-6, msg=name)
    for row, other in zip(without_speed(log(found)), without_speed(log(expected)), strict=True):
        assert {key: float(value) for key, value in row.items()} == pytest.approx(
            {key: float(value) for key, value in other.items()}, abs=2e-4
        )


@pytest.mark.parametrize("saved", [False, True])
def test_a_killed_run_goes_on_to_the_same_end(
    saved: bool, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between the log's second row and the state's place on disk, or right after that."""

    def save_and_die(
        out: Path,
        net: torch.nn.Module,
        optimiser: torch.optim.Optimizer,
        average: AveragedModel | None,
        metadata: Metadata,
    ) -> None:
        if saved or metadata["epoch"] == 1:
            save_state(out, net, optimiser, average, metadata)
        if metadata["epoch"] == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(loop, "save_state", save_and_die)
        with pytest.raises(KeyboardInterrupt):
            trainer(tmp_path).run()
    assert len(log(tmp_path)) == 2
    [told_before] = (tmp_path / "tensorboard").iterdir()
    told_before.rename(told_before.with_name("events.out.tfevents.1000000000.killed"))  # an older second
    resumed = trainer(tmp_path)
    assert resumed.epoch == (2 if saved else 1)
    resumed.run()
    assert_same_state(tmp_path, whole)
    assert scalars(tmp_path) == pytest.approx(told(log(tmp_path)))


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded, use of fork:DeprecationWarning")
def test_who_loads_the_pictures_changes_nothing(whole: Path, tmp_path: Path) -> None:
    trainer(tmp_path, process=replace(HERE, loaders=2)).run()
    assert_same_state(tmp_path, whole)


def test_a_finished_run_stays_finished(whole: Path) -> None:
    before = {path: path.read_bytes() for path in whole.rglob("*") if path.is_file()}
    trainer(whole).run()
    assert {path: path.read_bytes() for path in whole.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("recipe", "difference"),
    [
        (replace(RECIPE, seed=4), "(seed 3 there, 4 here): choose another folder, which may begin with its weights ("),
        (replace(RECIPE, phases=RECIPE.phases[:1]), "(phases [{"),
        (replace(RECIPE, ranks={"fc1": 5}), "(ranks {'fc1': 6} there, {'fc1': 5} here)"),
        (replace(RECIPE, seed=4, dropout=0.1, batch=5, mixing=0.1), "; ...): choose another folder"),
    ],
    ids=["seed", "phases", "ranks", "many"],
)
def test_the_folder_of_another_recipe_is_refused(whole: Path, recipe: Recipe, difference: str) -> None:
    with pytest.raises(ValueError, match=re.escape(difference)):
        trainer(whole, recipe)


def test_a_run_of_another_version_is_refused(whole: Path, tmp_path: Path) -> None:
    with safe_open(whole / "state.safetensors", "pt") as state:
        metadata = state.metadata()
    recipe = json.loads(metadata["recipe"])
    del recipe["class_balance"]
    metadata["recipe"] = json.dumps(recipe | {"smallest_crop": 0.25})
    save_file(load_file(whole / "state.safetensors"), tmp_path / "state.safetensors", metadata)
    with pytest.raises(ValueError, match=r"a run that another version began, .* begin with its weights \(--start "):
        trainer(tmp_path)
    trainer(tmp_path / "next", start=tmp_path)


def test_other_pictures_are_refused(whole: Path) -> None:
    with pytest.raises(ValueError, match="holds the run of other pictures"):
        trainer(whole, count=11)


def test_a_damaged_state_is_refused(whole: Path, tmp_path: Path) -> None:
    (tmp_path / "state.safetensors").write_bytes((whole / "state.safetensors").read_bytes()[:-100])
    with pytest.raises(ValueError, match=r"state\.safetensors is damaged"):
        trainer(tmp_path)


@pytest.mark.parametrize(
    "metadata",
    [None, {"format": "pt"}, {"epoch": "1"}, {"recipe": "{", "epoch": "1"}, {"recipe": "[]", "epoch": "1"}],
)
def test_a_state_of_another_program_is_refused(tmp_path: Path, metadata: dict[str, str] | None) -> None:
    save_file({"a": torch.zeros(1)}, tmp_path / "state.safetensors", metadata)
    refused = r"state\.safetensors is damaged, or not this program's .* remove it or choose another folder"
    with pytest.raises(ValueError, match=refused):
        trainer(tmp_path)
    with pytest.raises(ValueError, match=refused):
        trainer(tmp_path / "out", start=tmp_path)


def with_preprocessing(state: Path, preprocessing: object, out: Path) -> None:
    """The same state with another preprocessing, as JSON has it, in another folder."""
    with safe_open(state / "state.safetensors", "pt") as stored:
        metadata = stored.metadata() | {"preprocessing": json.dumps(preprocessing)}
    save_file(load_file(state / "state.safetensors"), out / "state.safetensors", metadata)


SOUND = {"size": SIDE, "mean": [0.4, 0.5, 0.6], "std": [0.2, 0.3, 0.4]}


@pytest.mark.parametrize(
    "damaged",
    [{"mean": [0.5] * 3}, 3, [], SOUND | {"hue": 1}, SOUND | {"std": [0, 1, 1]}, SOUND | {"mean": 0.5}],
    ids=["entries lack", "number", "list", "unknown entry", "no deviation", "one mean"],
)
def test_a_state_whose_preprocessing_is_damaged_is_refused(whole: Path, tmp_path: Path, damaged: object) -> None:
    with_preprocessing(whole, damaged, tmp_path)
    with pytest.raises(ValueError, match=r"state\.safetensors is damaged, or not this program's \(preprocessing: "):
        trainer(tmp_path)


def test_a_run_keeps_the_preprocessing_that_it_began_with(whole: Path, tmp_path: Path) -> None:
    """Though it is given another one; a run that begins with its weights has the one that it is given."""
    with_preprocessing(whole, SOUND, tmp_path)
    for run, expected in (
        (trainer(tmp_path), Preprocessing(SIDE, (0.4, 0.5, 0.6), (0.2, 0.3, 0.4))),
        (trainer(tmp_path / "next", start=tmp_path), PREPROCESSING),
    ):
        assert run.preprocessing == expected
        assert run.metadata["preprocessing"] == asdict(expected)


def test_where_the_disk_is_full_it_says_so_and_goes_on_once_there_is_room(whole: Path, tmp_path: Path) -> None:
    """Where not even the log fits, and where the state alone does not."""
    log_fits = 2**15
    assert (whole / "state.safetensors").stat().st_size > log_fits > (whole / "log.csv").stat().st_size > 60
    for room, lacking, left in (
        (60, r"log\.csv", ["tensorboard"]),
        (log_fits, r"state\.safetensors", ["log.csv", "tensorboard"]),
    ):
        run = trainer(tmp_path)
        with room_for(room), pytest.raises(OSError, match=rf"File too large: '.*{lacking}'"):
            run.run()
        assert sorted(path.name for path in tmp_path.iterdir()) == left, "no half of a file"
    trainer(tmp_path).run()
    assert_same_state(tmp_path, whole)


def test_a_warm_restart_begins_with_the_weights_of_another_run(whole: Path, tmp_path: Path) -> None:
    run = trainer(tmp_path, replace(RECIPE, seed=9), start=whole)
    assert run.epoch == 0
    for name, value in run.net.state_dict().items():
        assert torch.equal(value, load_file(whole / "state.safetensors")[f"average.module.{name}"]), name
    assert not run.optimiser.state, "no momentum yet"
    run.run()
    again = trainer(tmp_path, replace(RECIPE, seed=9), start=whole)
    assert again.epoch == 3
    began = again.metadata["start"]
    assert began["recipe"]["seed"] == 3
    assert [row["epoch"] for row in began["log"]] == [1, 2, 3]
    assert [str(row["loss"]) for row in began["log"]] == [row["loss"] for row in log(whole)]
    with pytest.raises(ValueError, match="holds the run of another --start"):
        trainer(tmp_path, replace(RECIPE, seed=9))


def test_a_state_that_says_only_its_recipe_and_epoch_can_be_a_start(whole: Path, tmp_path: Path) -> None:
    old = tmp_path / "old"
    old.mkdir()
    metadata = {"recipe": json.dumps({"batch": 4}), "epoch": "2"}
    save_file(load_file(whole / "state.safetensors"), old / "state.safetensors", metadata)
    (old / "log.csv").write_text((whole / "log.csv").read_text())
    began = trainer(tmp_path / "new", start=old).metadata["start"]
    assert began["recipe"] == {"batch": 4}
    assert [row["epoch"] for row in began["log"]] == [1, 2]


def test_what_cannot_be_a_start(whole: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds no run"):
        trainer(tmp_path / "out", start=tmp_path)
    with pytest.raises(ValueError, match=r"the net in .* is another one \(classes, ranks or BatchNorm differ\)"):
        trainer(tmp_path / "out", replace(RECIPE, batch_norm=False), start=whole)
