"""What `zfnet-explainer evaluate` refuses or leaves out."""

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

from zfnet_explainer.accuracy import validation

from ...samples import noise
from .evaluating import SIDE, evaluate


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--weights", "nowhere.safetensors"], "cannot read the weights nowhere.safetensors: No such"),
        (["--fill", "gray,pink"], "'gray,pink': some of gray, mean, black, white, blur"),
        (["--fill", "gray,gray"], "each once"),
        (["--pictures", "1"], "--pictures"),
        (["--only", "speed"], "is not one of"),
        (["--out", __file__], "is a file"),
        (["--out", f"{__file__}/x"], "test_refusals.py/x: no files can be made in it (Not a directory): name another"),
        (["--seed", "-1"], "Invalid value for '--seed'"),
        (["--classes", "n01,beagle"], "'beagle' is no class of this net, which knows n02, n01, n03"),
        (["--classes", ""], "'' is no class of this net"),
        (["--classes", "n01", "--only", "accuracy"], "--classes are those of the contrast study"),
        (["--only", "accuracy", "--fill", "blur"], "--pictures and --fill are of the explanations and contrasts"),
        (["--only", "accuracy", "--pictures", "200"], "leave them out, or ask for more than --only accuracy"),
        (["--groups", "nowhere.json"], "cannot read nowhere.json: No such file"),
        (["--groups", "x.json", "--only", "contrast"], "--groups are of the accuracy study"),
        (["--classes", "n03"], "at least two pictures: these classes have 0"),
    ],
)
def test_what_cannot_be_evaluated(data: Path, weights: Path, options: list[str], message: str) -> None:
    result = evaluate(data, "--weights", weights, *options)
    assert result.exit_code == 2
    assert message in result.output


def test_pictures_of_another_net_are_refused(weights: Path, tmp_path: Path) -> None:
    for i in range(2):
        file = tmp_path / "data" / "val" / "n09" / f"{i}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(noise(SIDE, SIDE, seed=i)).save(file)
    result = evaluate(tmp_path / "data", "--weights", weights)
    assert result.exit_code == 2
    assert "val/n09 is no class of this net, which knows n02, n01, n03" in result.output


@pytest.mark.parametrize(
    ("content", "message"), [("# Nothing\n", "has no section <!-- table: NAME -->"), (None, "does not exist")]
)
def test_pages_that_cannot_be_written(
    data: Path, weights: Path, tmp_path: Path, content: str | None, message: str
) -> None:
    page = tmp_path / "page.md"
    if content is not None:
        page.write_text(content)
    result = evaluate(data, "--weights", weights, "--only", "accuracy", "--into", page)
    assert result.exit_code == 2
    assert message in result.output


@pytest.mark.parametrize("memory", [2**30, 0], ids=["in memory", "too many for memory"])
def test_an_unreadable_picture_is_left_out_or_with_strict_refused(
    data: Path, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, memory: int
) -> None:
    monkeypatch.setattr(validation, "memory_limit", lambda: memory)
    shutil.copytree(data, tmp_path / "data")
    (tmp_path / "data/val/n01/2.png").write_bytes(b"no picture")
    arguments = (tmp_path / "data", "--weights", weights, "--only", "accuracy", "--out", tmp_path / "out")
    result = evaluate(*arguments)
    assert result.exit_code == 0, result.output
    assert "left out: val/n01/2.png: these bytes are not a picture" in result.output
    assert f"{tmp_path}/data/val has no picture of n03" in result.output
    assert json.loads((tmp_path / "out" / "accuracy.json").read_text())["images"] == 5
    result = evaluate(*arguments, "--strict")
    assert result.exit_code == 2
    assert "1 of 6 pictures cannot be read" in result.output


def test_a_class_folder_that_leads_nowhere_ends_it_in_a_line(data: Path, weights: Path, tmp_path: Path) -> None:
    shutil.copytree(data, tmp_path / "data")
    (tmp_path / "data/val/n03").symlink_to("n03")
    result = evaluate(tmp_path / "data", "--weights", weights)
    assert result.exit_code == 2
    assert "val/n03 is a link to nothing" in result.output
