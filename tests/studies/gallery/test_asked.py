"""What a person asks `gallery` and `figures 2` for reaches what is built, measured and drawn."""

from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from tests.pictures.atlases import write_atlas
from zfnet_explainer.commands.main import app
from zfnet_explainer.pictures.files import listing
from zfnet_explainer.studies.gallery.plan import Made, Plan

from . import tiny

STUDIES = "zfnet_explainer.studies.gallery"


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [*map(str, arguments)], env={"COLUMNS": "500"})


@pytest.mark.parametrize(
    ("asked", "split", "plan"),
    [
        ((), "val", Plan(32, 0, patches=False)),
        (("--maps", "5", "--seed", "7", "--patches", "--split", "train"), "train", Plan(5, 7, patches=True)),
        (("--all-maps",), "val", Plan(None, 0, patches=False)),
    ],
)
def test_what_is_built(
    asked: tuple[str, ...], split: str, plan: Plan, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[tuple[str, Plan]] = []

    def kept(_: object, __: object, split: str, ___: object, plan: Plan, *____: object) -> Any:
        found.append((split, plan))
        raise ValueError("that is all")

    monkeypatch.setattr(f"{STUDIES}.build.build", kept)
    result = run("gallery", tmp_path, "--weights", weights, *asked)
    assert (result.exit_code, found) == (2, [(split, plan)]), result.output
    assert "that is all" in result.output


def test_what_the_notes_are_taken_on(weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = tiny.write_pictures(tmp_path / "data", 6)
    (data / "val").rename(data / "test")
    listed = asdict(listing(data, "test"))
    made = Made(tiny.checkpoint(weights).record.weights_sha256, **listed, sample=None, seed=0, patches=False)
    atlas = SimpleNamespace(files={}, pictures=6, index={"made": asdict(made)})
    found: list[tuple[int, int]] = []

    def kept(_: object, __: object, ___: object, pictures: list[object], seed: int) -> Any:
        found.append((len(pictures), seed))
        raise ValueError("that is all")

    monkeypatch.setattr(f"{STUDIES}.build.build", lambda *_: atlas)
    monkeypatch.setattr(f"{STUDIES}.notes.take_notes", kept)
    options = ("--split", "test", "--notes", "--sample", "3", "--seed", "7", "--device", "cpu")
    result = run("gallery", data, "--weights", weights, *options)
    assert (result.exit_code, found) == (2, [(3, 7)]), result.output
    assert "that is all" in result.output


def test_which_maps_are_drawn(weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    atlas = write_atlas(tmp_path / "atlas", tiny.checkpoint(weights).record.weights_sha256, {1: [0]})
    seeds: list[int] = []

    def kept(_: object, __: object, ___: object, seed: int) -> bytes:
        seeds.append(seed)
        return b"a picture"

    monkeypatch.setattr(f"{STUDIES}.figure2.figure_2", kept)
    drawn = ("figures", "2", "--weights", weights, "--atlas", atlas, "--out", tmp_path / "figure.webp")
    assert run(*drawn).exit_code == 0
    assert run(*drawn, "--seed", "7").exit_code == 0
    assert seeds == [0, 7]
    assert (tmp_path / "figure.webp").read_bytes() == b"a picture"
