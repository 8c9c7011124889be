"""`zfnet-explainer evaluate` on a small net and a handful of pictures, as a person would."""

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import asdict, replace
from inspect import signature
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import nn
from typer.testing import CliRunner, Result

from zfnet_explainer.accuracy import accuracy, validation
from zfnet_explainer.accuracy.validation import validation_pictures
from zfnet_explainer.commands.main import app
from zfnet_explainer.net import checkpoint
from zfnet_explainer.net.chain import Chain
from zfnet_explainer.net.checkpoint import load, save
from zfnet_explainer.net.own import save_checkpoint
from zfnet_explainer.net.probability import probabilities
from zfnet_explainer.net.record import ClassName, Preprocessing, Record
from zfnet_explainer.pictures.labelled import MEMORY_LIMIT
from zfnet_explainer.pictures.stream import Tolerance
from zfnet_explainer.studies.faithfulness import contrast, sample, study
from zfnet_explainer.studies.model_card import card_tables, log

from ..chains import named, plain, seeded
from ..room import room_for
from ..samples import noise

SIDE = 64


def row(epoch: int, side: int, loss: float, val_top1: float) -> dict[str, float]:
    return {"epoch": epoch, "side": side, "loss": loss, "val_top1": val_top1}


RECORD = Record(
    name="tiny",
    architecture="tiny",
    classes=(ClassName("n02", "tench"), ClassName("n01", "beagle"), ClassName("n03", "golf ball")),
    preprocessing=Preprocessing(SIDE, (0.5,) * 3, (0.25,) * 3),
    training={
        "images": 7,
        "recipe": {"batch": 2, "nesterov": True, "phases": [{"side": 32, "epochs": 1}, {"side": 64, "epochs": 2}]},
        "log": [row(1, 32, 2.5, 0.25), row(2, 64, 1.23456, 0.5) | {"train_top1": 0.75}],
    },
    validation={"top1": 0.625, "images": 40, "top1_before_storage": 0.65, "largest_logit_difference": 0.0123},
    licence="CC0-1.0",
)
PNG = b"\x89PNG\r\n\x1a\n"
PAGE = "# Card\n<!-- table: {} -->\n<!-- end -->\nkept\n"


def tiny(classes: int, _: object = None) -> Chain:
    layers = (
        *(nn.Conv2d(3, 6, 5, stride=2), nn.ReLU(), nn.MaxPool2d(3, 2), nn.Conv2d(6, 8, 3), nn.ReLU()),
        *(nn.Flatten(), nn.Linear(8 * 12 * 12, 9), nn.ReLU(), nn.Linear(9, classes)),
    )
    return Chain(named(*layers), (3, SIDE, SIDE))


@pytest.fixture(autouse=True)
def _tiny_architecture(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(checkpoint.ARCHITECTURES, "tiny", tiny)
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "net.safetensors"
    save(seeded(tiny(3), 0), RECORD, path)
    return path


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six pictures of two of the three classes."""
    folder = tmp_path_factory.mktemp("data")
    for i in range(6):
        file = folder / "val" / f"n0{1 + i % 2}" / f"{i}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(noise(SIDE, SIDE, seed=i)).save(file)
    return folder


def evaluate(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["evaluate", *map(str, arguments), "--device", "cpu"])


def test_accuracy(data: Path, weights: Path, tmp_path: Path) -> None:
    card = tmp_path / "card.md"
    card.write_text(PAGE.format("storage") + PAGE.format("weights") + PAGE.format("areas"))
    result = evaluate(data, "--weights", weights, "--only", "accuracy", "--out", tmp_path / "out", "--into", card)
    assert result.exit_code == 0, result.output
    found = json.loads((tmp_path / "out" / "accuracy.json").read_text())
    source, labels = validation_pictures(data, RECORD, Tolerance.of(False, lambda _: None))
    images = torch.stack([source.picture(i) for i in range(6)])
    answers = plain(load(weights).chain)((images / 255 - 0.5) / 0.25).argmax(1)
    right = int((answers == labels).sum())
    assert (found["images"], found["top1"], found["top5"]) == (6, right / 6, 1)
    assert found["classes"] == [asdict(name) for name in RECORD.classes]
    for true in range(3):
        for predicted in range(3):
            count = int(((labels == true) & (answers == predicted)).sum())
            assert found["confusion"][true][predicted] == count
    assert f"{100 * right / 6:.1f} % (" in result.output
    for text in ("golf ball", "62.50 % of 40 pictures", "Reliability", "25.0 %", "1.235"):
        assert text in result.output, text
    assert "areas under" not in result.output.lower()
    page = card.read_text()
    assert "| top-1 in float32, before they were stored | 65.00 % |" in page
    assert f"| SHA-256 | `{load(weights).record.weights_sha256}` |" in page
    assert "<!-- table: areas -->\n<!-- end -->" in page, "not measured, not touched"
    assert (tmp_path / "out" / "learning-curve.png").read_bytes().startswith(PNG)
    tables = (tmp_path / "out" / "accuracy.md").read_text()
    assert "| phases | side 32, epochs 1; side 64, epochs 2 |" in tables
    assert "| nesterov | yes |" in tables
    assert "| 2 | 64 | 1.235 | 50.0 % |" in tables
    assert f"| largest over the median one | {found['first_layer']['dominance']:.2f} |" in tables


def test_accuracy_within_groups(data: Path, weights: Path, tmp_path: Path) -> None:
    """Of the pictures of two classes, with these and with all three as answers."""
    groups = tmp_path / "groups.json"
    groups.write_text('{"the two": ["n01", "n02"], "with none of one": ["n03", "n01"]}')
    options = ["--only", "accuracy", "--groups", groups, "--out", tmp_path / "out"]
    result = evaluate(data, "--weights", weights, *options)
    assert result.exit_code == 0, result.output
    source, labels = validation_pictures(data, RECORD, Tolerance.of(False, lambda _: None))
    images = torch.stack([source.picture(i) for i in range(6)])
    logits = plain(load(weights).chain)((images / 255 - 0.5) / 0.25)
    n02, n01, n03 = range(3)
    ones = labels == n01
    right = int((logits.argmax(1) == labels).sum())
    of_two = int(torch.where(logits[:, n01] > logits[:, n02], n01, n02).eq(labels).sum())
    of_one = int((logits[ones, n01] > logits[ones, n03]).sum())
    found = json.loads((tmp_path / "out" / "accuracy.json").read_text())["groups"]
    assert found[0] == {"name": "the two", "classes": 2, "images": 6, "right_within": of_two, "right": right}
    assert (found[1]["images"], found[1]["right_within"]) == (3, of_one)
    assert f"| the two | 2 | 6 | {100 * of_two / 6:.1f} % (" in (tmp_path / "out" / "accuracy.md").read_text()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[]", 'must be JSON: {"GROUP": ["SYNSET", "SYNSET", ...], ...}, two classes or more each'),
        ("{}", "must be JSON"),
        ('{"one": ["n01"]}', "two classes or more"),
        ('{"twice": ["n01", "n01"]}', "two classes or more"),
        ('{"a": {"n01": 1, "n02": 2}}', "must be JSON"),
        ('{"a": ["n01", 2]}', "must be JSON"),
        ('{"a": ["n01", "beagle"]}', "'beagle' is no class of this net, which knows n02, n01, n03"),
        ("{", "must be JSON"),
    ],
)
def test_groups_that_are_none(data: Path, weights: Path, tmp_path: Path, content: str, message: str) -> None:
    groups = tmp_path / "groups.json"
    groups.write_text(content)
    result = evaluate(data, "--weights", weights, "--groups", groups)
    assert result.exit_code == 2
    assert message in result.output


@pytest.mark.parametrize(("size", "file"), [(200, "accuracy.json"), (2**13, "learning-curve.png")])
def test_where_the_disk_is_full_what_was_measured_is_shown(
    data: Path, weights: Path, tmp_path: Path, size: int, file: str
) -> None:
    with room_for(size):
        result = evaluate(data, "--weights", weights, "--only", "accuracy", "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert f"error: {tmp_path / 'out' / file} cannot be written (File too large): make room there" in result.stderr
    assert "Traceback" not in result.stderr
    assert "Reliability" in result.stdout
    written = {path.name for path in (tmp_path / "out").iterdir()}
    assert written == (set() if file == "accuracy.json" else {"accuracy.json", "accuracy.md"}), "whole files alone"


def test_a_class_that_looks_like_markup_is_shown_as_it_is(data: Path, tmp_path: Path) -> None:
    classes = tuple(replace(name, label=f"{name.label} [/mug]") for name in RECORD.classes)
    path = tmp_path / "net.safetensors"
    save(seeded(tiny(3), 0), replace(RECORD, classes=classes), path)
    result = evaluate(data, "--weights", path, "--only", "accuracy", "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert "tench [/mug]" in result.output
    assert "tench [/mug]" in (tmp_path / "out" / "accuracy.md").read_text()


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


def test_probabilities_are_calibrated(data: Path, tmp_path: Path) -> None:
    """Over a temperature of 4 the first point of the curves is the mean of the probabilities that are served, and the
    log odds of two classes move a quarter as far."""
    path, out = tmp_path / "net.safetensors", tmp_path / "out"
    save(seeded(tiny(3), 0), replace(RECORD, validation={"top1": 0.5, "images": 6, "temperature": 4.0}), path)
    assert evaluate(data, "--weights", path, "--pictures", 6, "--out", out).exit_code == 0
    source, labels = validation_pictures(data, RECORD, Tolerance.of(False, lambda _: None))
    images = torch.stack([source.picture(i) for i in range(6)])
    served = probabilities(plain(load(path).chain)((images / 255 - 0.5) / 0.25), 4)
    curve = json.loads((out / "explanations.json").read_text())["faithfulness"]["gray"]["orders"]
    assert curve["random"]["deletion_curve"][0] == pytest.approx(float(served.amax(1).mean()), abs=1e-5)
    found = json.loads((out / "accuracy.json").read_text())["calibration"]
    surplus = served.amax(1) - (served.argmax(1) == labels).float()
    bins = (15 * served.amax(1)).int()
    error = sum(abs(float(surplus[bins == one].sum())) for one in range(15)) / 6
    assert (found["served_temperature"], found["served_ece"]) == (4, pytest.approx(error, abs=1e-5))
    assert found["ece"] != pytest.approx(error, abs=1e-3), "that of the logits alone"
    save(seeded(tiny(3), 0), RECORD, path)
    assert evaluate(data, "--weights", path, "--only", "contrast", "--pictures", 6, "--out", tmp_path).exit_code == 0
    over_four, over_one = (
        json.loads((folder / "contrast.json").read_text())["results"]["gray"]["second class"]["moves"]["contrast map"]
        for folder in (out, tmp_path)
    )
    assert over_one["log_odds"]["mean"] > 0.01
    assert over_four["log_odds"]["mean"] == pytest.approx(over_one["log_odds"]["mean"] / 4, rel=1e-3)


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


def test_a_record_need_not_say_more_than_top1_and_images(data: Path, tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    save(seeded(tiny(3), 0), replace(RECORD, training={}, validation={"top1": 0.625, "images": 40}), path)
    result = evaluate(data, "--weights", path, "--only", "accuracy", "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    tables = (tmp_path / "out" / "accuracy.md").read_text()
    assert "| top-1 in float32, before they were stored | – |" in tables
    assert "| top-1 as stored and read back | 62.50 % |" in tables


def test_a_net_that_started_from_another_run() -> None:
    first = {
        "recipe": {"batch": 4, "dropout": 0.5},
        "log": [row(1, 32, 2.0, 0.25), row(2, 64, 1.5, 0.5)],
        "start": None,
    }
    last = {"images": 7, "recipe": {"batch": 8}, "log": [row(1, 64, 1.0, 0.75)], "start": {"sha256": "ab", **first}}
    assert log(last) == [row(1, 32, 2.0, 0.25), row(2, 64, 1.5, 0.5), row(3, 64, 1.0, 0.75)]
    recipe = card_tables(replace(RECORD, training=last), Path(__file__))[1]
    assert recipe.columns == ("", "run 1", "run 2")
    assert recipe.rows == (
        ("images", "", "7"),
        ("batch", "4", "8"),
        ("dropout", "0.5", ""),
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--weights", "nowhere.safetensors"], "cannot read the weights nowhere.safetensors: No such"),
        (["--fill", "gray,pink"], "'gray,pink': some of gray, mean, black, white, blur"),
        (["--fill", "gray,gray"], "each once"),
        (["--pictures", "1"], "--pictures"),
        (["--only", "speed"], "is not one of"),
        (["--out", __file__], "is a file"),
        (["--out", f"{__file__}/x"], "test_evaluate.py/x: no files can be made in it (Not a directory): name another"),
        (["--seed", "-1"], "Invalid value for '--seed'"),
        (["--classes", "n01,beagle"], "'beagle' is no class of this net, which knows n02, n01, n03"),
        (["--classes", ""], "'' is no class of this net"),
        (["--classes", "n01", "--only", "accuracy"], "--classes are those of the contrast study"),
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


@pytest.mark.parametrize("memory", [MEMORY_LIMIT, 0], ids=["in memory", "too many for memory"])
def test_an_unreadable_picture_is_left_out_or_with_strict_refused(
    data: Path, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, memory: int
) -> None:
    monkeypatch.setattr(validation, "MEMORY_LIMIT", memory)
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
