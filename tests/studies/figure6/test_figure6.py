"""The three nets of Figure 6, from a folder of pictures to the figure."""

import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from typer.testing import CliRunner

from zfnet_explainer.commands.main import app
from zfnet_explainer.explanation import Pixels
from zfnet_explainer.methods.deconvnet import Feature
from zfnet_explainer.net.record import Preprocessing
from zfnet_explainer.net.zfnet import zfnet
from zfnet_explainer.pictures import labelled
from zfnet_explainer.studies.figure6 import comparison, filters, stems
from zfnet_explainer.studies.figure6 import figure as figure6
from zfnet_explainer.studies.figure6.comparison import ALEXNET_STEM, CLIPPED, UNCLIPPED, Contender, Trained
from zfnet_explainer.studies.figure6.figure import Studied, filter_mosaic, number_table
from zfnet_explainer.studies.figure6.filters import Numbers
from zfnet_explainer.studies.figure6.stems import zfnet_with_alexnet_stem
from zfnet_explainer.training import run, views
from zfnet_explainer.training.process import Process
from zfnet_explainer.training.recipe import Phase, Precision, Recipe

from ... import narrow
from ...chains import like_zfnet
from ...samples import noise
from ...training.runs import pictures

NETS = ("unclipped", "alexnet-stem", "clipped")


narrow_above = partial(narrow.zfnet, stem=(96, 256))  # ZFNet's first two layers, which are what is compared


def test_the_stems_differ_in_two_layers_and_join_in_their_sizes() -> None:
    with torch.device("meta"):
        ours, theirs = zfnet(4, {}), zfnet_with_alexnet_stem(4, {})
    different = [
        name
        for (name, a), (_, b) in zip(ours.named_children(), theirs.named_children(), strict=True)
        if repr(a) != repr(b)
    ]
    assert different == ["conv1", "conv2"]
    sizes = {name: tuple(axis.size_out for axis in theirs.axes[name]) for name in theirs.axes}
    assert sizes["conv1"] == (55, 55), "Krizhevsky et al., Figure 2"
    assert sizes["conv2"] == (27, 27)
    assert sizes["pool2"] == tuple(axis.size_out for axis in ours.axes["pool2"]) == (13, 13)


def test_filters_share_one_scale() -> None:
    weights = torch.zeros(14, 3, 7, 7)
    weights[0], weights[1, 0], weights[13] = 0.5, -0.25, -1
    picture = filter_mosaic(weights)
    assert picture.shape == (68, 12 * 35 - 2, 3)
    assert picture[5, 5].tolist() == [192, 192, 192]
    assert picture[5, 40].tolist() == [96, 128, 128]
    assert picture[40, 40].tolist() == [1, 1, 1]
    assert picture[5, 75].tolist() == [128, 128, 128]
    assert picture[34, 5].tolist() == [255, 255, 255], "white between them"


def test_every_number_is_in_its_place() -> None:
    def of(contender: Contender, top1: float, numbers: Numbers) -> Studied:
        chain = like_zfnet()  # the table looks at the numbers alone
        preprocessing = Preprocessing(37, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
        return Studied(Trained(contender, chain, preprocessing, {"epoch": 1, "val_top1": top1}), numbers, [])

    first = Numbers((1, 2), (96, 256), largest=0.123, dominance=1.5, high_filters=0.21, high_projections=0.22)
    second = Numbers((3, 4), (48, 128), largest=0.456, dominance=2.5, high_filters=0.31, high_projections=0.32)
    table = number_table([of(UNCLIPPED, 0.11, first), of(CLIPPED, 0.12, second)])
    assert table.columns == ("", UNCLIPPED.title, CLIPPED.title)
    assert table.rows == (
        ("validation top-1", "11.0 %", "12.0 %"),
        ("dead maps, layer 1", "1 of 96", "3 of 48"),
        ("dead maps, layer 2", "2 of 256", "4 of 128"),
        ("largest filter of layer 1", "0.123", "0.456"),
        ("largest over the median one", "1.50", "2.50"),
        ("high frequencies, filters of layer 1", "21.0 %", "31.0 %"),
        ("high frequencies, projections of layer 2", "22.0 %", "32.0 %"),
    )


def test_each_panel_shows_its_net(monkeypatch: pytest.MonkeyPatch) -> None:
    """A flat grey stands for what is drawn of each: 1 to 3 in its filters, as many projections, in another order."""
    studied = []
    for number, contender in enumerate((CLIPPED, UNCLIPPED, ALEXNET_STEM), 1):
        chain = like_zfnet()
        chain.get_parameter("conv1.weight").fill_(number)
        trained = Trained(contender, chain, Preprocessing(37, (0.5,) * 3, (0.25,) * 3), {"epoch": 1})
        numbers = Numbers((0, 0), (1, 1), 1.0, 1.0, 0.5, None)
        studied.append(Studied(trained, numbers, [Mock(spec=Feature) for _ in range(number)]))
    monkeypatch.setattr(figure6, "filter_mosaic", lambda filters: flat(int(filters.mean())))
    monkeypatch.setattr(figure6, "projection_mosaic", lambda projected: flat(len(projected)))
    picture = figure6.draw(studied)
    height, width, _ = picture.shape
    above, below = (
        [int(picture[int(down * height), int((2 * i + 1) / (2 * panels) * width), 0]) // 50 for i in range(panels)]
        for down, panels in ((0.2, 3), (0.7, 2))
    )
    assert (above, below) == ([2, 3, 1], [3, 1])


def flat(number: int) -> Pixels:
    return np.full((50, 50, 3), 50 * number, np.uint8)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a comparison of one epoch on eight pictures."""
    folder = tmp_path_factory.mktemp("figure6")
    for i in range(12):
        file = folder / "data" / ("train" if i < 8 else "val") / f"n0{i % 2}" / f"{i}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(noise(90, 110, seed=i)).save(file)
    (folder / "page.md").write_text("# Here\n<!-- table: figure6 -->\nold\n<!-- end -->\nkept\n")
    invoke(folder)
    return folder


def invoke(folder: Path) -> None:
    command = [
        *("figures", "6", str(folder / "data"), "--out", str(folder / "runs"), "--epochs", "1", "--side", "64"),
        *("--batch", "4", "--filter-radius", "0.009", "--into", str(folder / "page.md"), "--device", "cpu"),
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(filters, "EVERY", 64)  # projections are what takes the time here
        patch.setattr(comparison, "RECIPE", replace(comparison.RECIPE, precision=Precision.FLOAT32))
        patch.setattr(stems, "zfnet", narrow_above)
        built = {
            "UNCLIPPED": replace(UNCLIPPED, build=narrow_above), "ALEXNET_STEM": ALEXNET_STEM,
            "CLIPPED": replace(CLIPPED, build=narrow_above),
        }  # fmt: skip
        patch.setattr(comparison, "CONTENDERS", tuple(built.values()))
        for name, contender in built.items():
            patch.setattr(figure6, name, contender)
        result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output


def test_every_option_reaches_the_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[Recipe] = []

    def kept(_: object, recipe: Recipe, *__: object) -> Trained:
        found.append(recipe)
        raise ValueError("that is all")

    monkeypatch.setattr(comparison, "train", kept)
    monkeypatch.setattr(run, "list_splits", lambda *_: ([None] * 64, []))
    monkeypatch.setattr(run, "open_splits", lambda *_: (pictures(10), pictures(5)))
    asked = "--epochs 2 --side 96 --learning-rate 0.003 --filter-radius 0.01 --batch 8 --seed 7 --device cpu"
    for options in ((), asked.split()):
        result = CliRunner().invoke(app, ["figures", "6", str(tmp_path), "--out", str(tmp_path), *options])
        assert result.exit_code == 2, result.output
        assert "that is all" in result.output
    default, chosen = (replace(one, precision=comparison.RECIPE.precision) for one in found)
    assert default == replace(comparison.RECIPE, phases=(Phase(128, 8, (0.35, 1.0)),))
    assert chosen == replace(
        comparison.RECIPE, phases=(Phase(96, 2, (0.35, 1.0)),), learning_rate=0.003, filter_radius=0.01, batch=8, seed=7
    )


def test_without_shared_memory_there_are_no_loaders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command has no --loaders that one could be told to choose."""

    def kept(*arguments: object) -> Trained:
        assert isinstance(arguments[-1], Process)
        raise ValueError(f"{arguments[-1].loaders} loaders")

    monkeypatch.setattr(comparison, "train", kept)
    monkeypatch.setattr(run, "list_splits", lambda *_: ([None] * 64, []))
    monkeypatch.setattr(run, "open_splits", lambda *_: (pictures(10), pictures(5)))
    monkeypatch.setattr(views, "SHARED_MEMORY", tmp_path)
    monkeypatch.setattr("zfnet_explainer.training.views.shutil.disk_usage", lambda _: SimpleNamespace(free=0))
    result = CliRunner().invoke(app, ["figures", "6", str(tmp_path), "--out", str(tmp_path), "--device", "cpu"])
    assert result.exit_code == 2
    assert "0 loaders" in result.output


def test_too_few_pictures_are_told_before_they_are_decoded(drawn: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def decoded(*_: object) -> None:
        raise AssertionError("before that")

    monkeypatch.setattr(run, "open_splits", decoded)
    arguments = ("figures", "6", str(drawn / "data"), "--out", str(drawn / "none"), "--batch", "9", "--device", "cpu")
    result = CliRunner().invoke(app, arguments, env={"COLUMNS": "200"})
    assert result.exit_code == 2
    assert "8 pictures do not fill a batch of 9: choose a smaller --batch" in result.output


def test_a_picture_that_cannot_be_written_is_told_before_any_work(tmp_path: Path) -> None:
    arguments = ("figures", "6", str(tmp_path), "--out", str(tmp_path / "runs"), "--figure", "figure.svg")
    result = CliRunner().invoke(app, arguments, env={"COLUMNS": "200"})
    assert result.exit_code == 2
    assert "--figure figure.svg: name a picture that ends in .png or .webp" in result.output
    assert not (tmp_path / "runs").exists()


def test_the_nets_are_alike_but_for_what_is_compared(drawn: Path) -> None:
    states = {name: load_file(drawn / "runs" / name / "state.safetensors") for name in NETS}
    assert states["unclipped"]["net.conv1.weight"].shape == states["clipped"]["net.conv1.weight"].shape
    assert states["alexnet-stem"]["net.conv1.weight"].shape == (96, 3, 11, 11)
    for name, state in states.items():
        size = state["net.conv1.weight"].square().mean((1, 2, 3)).sqrt()
        assert (float(size.max()) <= 0.00901) == (name != "unclipped"), name
        assert not any("bn_" in key for key in state)


def test_the_figure_and_its_numbers_are_written(drawn: Path) -> None:
    content = json.loads((drawn / "runs" / "figure6.json").read_text())
    assert content["recipe"]["phases"] == [{"side": 64, "epochs": 1, "crops": [0.35, 1.0]}]
    assert tuple(content["nets"]) == NETS
    for net in content["nets"].values():
        assert net["maps"] == [96, 256]
        assert 1 <= net["dominance"] < 3
        assert 0 < net["high_filters"] < 1
    page = (drawn / "page.md").read_text()
    assert "| dead maps, layer 1 | " in page
    assert "old" not in page
    assert page.endswith("<!-- end -->\nkept\n")
    picture = np.asarray(Image.open(drawn / "runs" / "figure6.png"))
    assert picture.shape[0] > 800
    assert len(np.unique(picture @ np.array([1 << 16, 1 << 8, 1]))) > 1000, "colours"


def test_finished_nets_are_only_drawn_again(drawn: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As before, also where there is less memory: a sample of their pictures has other statistics."""
    states = {path: path.stat().st_mtime_ns for path in drawn.rglob("state.safetensors")}
    before = json.loads((drawn / "runs" / "figure6.json").read_text())["nets"]
    for name in ("figure6.png", "figure6.json"):
        (drawn / "runs" / name).unlink()
    monkeypatch.setattr(run, "memory_limit", lambda: 0)
    monkeypatch.setattr(labelled, "SAMPLE", 1)
    invoke(drawn)
    assert (drawn / "runs" / "figure6.png").exists()
    assert {path: path.stat().st_mtime_ns for path in drawn.rglob("state.safetensors")} == states
    after = json.loads((drawn / "runs" / "figure6.json").read_text())["nets"]
    for name in NETS:
        assert after[name]["high_projections"] == pytest.approx(before[name]["high_projections"], rel=1e-5), name
