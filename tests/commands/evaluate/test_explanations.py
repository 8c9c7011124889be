"""`zfnet-explainer evaluate` of explanations and contrasts."""

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from inspect import signature
from pathlib import Path

import pytest
from torch import nn

from zfnet_explainer.accuracy import accuracy
from zfnet_explainer.net.checkpoint import save
from zfnet_explainer.net.own import save_checkpoint
from zfnet_explainer.net.record import Preprocessing
from zfnet_explainer.studies.faithfulness import contrast, sample, study

from ...chains import seeded
from .evaluating import PAGE, PNG, RECORD, evaluate, tiny


def numbers(text: str) -> list[float]:
    return [float(number) for number in re.findall(r"-?\d+(?:\.\d+)?(?:e-?\d+)?", text)]


def test_explanations(data: Path, weights: Path, tmp_path: Path) -> None:
    """Also twice: all that is random is drawn by the seed."""
    card = tmp_path / "card.md"
    card.write_text(PAGE.format("randomisation"))
    options = ("--only", "explanations", "--pictures", 4, "--fill", "gray, blur", "--into", card)
    result = evaluate(data, "--weights", weights, *options, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    text = (tmp_path / "out" / "explanations.json").read_text()
    found = json.loads(text)
    assert (found["images"], found["randomised_images"], found["seed"]) == (4, 4, 0)
    assert list(found["faithfulness"]) == list(found["falls"]) == ["gray", "blur"]
    for one in found["faithfulness"].values():
        for order in one["orders"].values():
            assert order["deletion"]["low"] <= order["deletion"]["mean"] <= order["deletion"]["high"]
            assert len(order["deletion_curve"]) == len(order["insertion_curve"]) == 11
            assert order["deletion_curve"][0] == pytest.approx(order["insertion_curve"][-1])
    assert [stage["layer"] for stage in found["randomisation"]] == ["fc2", "fc1", "conv2", "conv1"]
    assert "| and fc1 | 1.00 (1.00 to 1.00) |" in card.read_text()
    assert "Curves, blur" in result.output
    assert (tmp_path / "out" / "curves.png").read_bytes().startswith(PNG)
    again = evaluate(data, "--weights", weights, *options, "--out", tmp_path / "again")
    assert again.exit_code == 0
    assert numbers((tmp_path / "again" / "explanations.json").read_text()) == pytest.approx(numbers(text), abs=1e-6)


def test_contrast(data: Path, weights: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE.format("contrast") + PAGE.format("contrast-differences"))
    options = ("--only", "contrast", "--classes", "n02, n01", "--fill", "gray,black", "--into", page)
    result = evaluate(data, "--weights", weights, *options, "--pictures", 5, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    found = json.loads((tmp_path / "out" / "contrast.json").read_text())
    assert (found["images"], found["classes"], found["seed"]) == (5, ["n02", "n01"], 0)
    assert list(found["results"]) == ["gray", "black"]
    for by_other in found["results"].values():
        assert by_other["second class"]["images"] == 5
        assert list(by_other["second class"]["moves"]) == ["contrast map", "plain map", "middle", "chance"]
    assert "| gray | the second class, 5 pictures | contrast map |" in page.read_text()
    assert "| black | the second class, 5 pictures | contrast map − plain map |" in page.read_text()
    assert "contrasts" in result.output
    assert not (tmp_path / "out" / "accuracy.json").exists()


@pytest.mark.parametrize("side", [28, 100])
def test_a_net_for_pictures_of_any_size(data: Path, tmp_path: Path, side: int) -> None:
    layers = nn.Conv2d(3, 4, 5, stride=2), nn.ReLU(), nn.Flatten(), nn.Linear(4 * ((side - 3) // 2) ** 2, 3)
    path = tmp_path / "net.safetensors"
    preprocessing = Preprocessing(side, (0.5,) * 3, (0.25,) * 3)
    save_checkpoint(seeded(nn.Sequential(*layers), 0), path, classes=RECORD.classes, preprocessing=preprocessing)
    result = evaluate(data, "--weights", path, "--pictures", 2, "--fill", "blur", "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    for name in ("explanations", "contrast"):
        protocol = json.loads((tmp_path / "out" / f"{name}.json").read_text())["protocol"]
        assert protocol == {"window": side // 7, "stride": side // 14, "steps": 10}


def test_a_net_of_one_class_has_no_contrasts(data: Path, tmp_path: Path) -> None:
    (tmp_path / "data" / "val").mkdir(parents=True)
    shutil.copytree(data / "val" / "n01", tmp_path / "data" / "val" / "n01")
    path = tmp_path / "net.safetensors"
    save(seeded(tiny(1), 0), replace(RECORD, classes=RECORD.classes[1:2]), path)
    result = evaluate(tmp_path / "data", "--weights", path, "--pictures", 2, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert "no contrasts: this net knows one class" in result.output
    assert sorted(file.name for file in (tmp_path / "out").glob("*.json")) == ["accuracy.json", "explanations.json"]


def test_the_seed_reaches_all_that_is_drawn(data: Path, weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seeds: dict[str, int] = {}

    def spy(name: str, draw: Callable[..., object]) -> Callable[..., object]:
        def spied(*arguments: object) -> object:
            seeds[name] = signature(draw).bind(*arguments).arguments["seed"]
            return draw(*arguments)

        return spied

    drawing = {
        "accuracy": accuracy, "sample": sample, "labelled_sample": sample, "study": study, "contrasts": contrast,
    }  # fmt: skip
    for name, module in drawing.items():
        monkeypatch.setattr(module, name, spy(name, getattr(module, name)))
    result = evaluate(data, "--weights", weights, "--pictures", 2, "--seed", 7)
    assert result.exit_code == 0, result.output
    assert seeds == dict.fromkeys(drawing, 7)
