"""`zfnet-explainer evaluate --only accuracy`: tables, groups, calibration, records that say little."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch

from zfnet_explainer.accuracy.validation import validation_pictures
from zfnet_explainer.net.checkpoint import load, save
from zfnet_explainer.net.probability import probabilities
from zfnet_explainer.pictures.stream import Tolerance
from zfnet_explainer.studies.model_card import card_tables, log

from ...chains import plain, seeded
from ...room import room_for
from .evaluating import PAGE, PNG, RECORD, evaluate, row, tiny


def test_accuracy(data: Path, weights: Path, tmp_path: Path) -> None:
    card = tmp_path / "card.md"
    card.write_text(PAGE.format("storage") + PAGE.format("weights") + PAGE.format("areas"))
    result = evaluate(data, "--weights", weights, "--only", "accuracy", "--out", tmp_path / "out", "--into", card)
    assert result.exit_code == 0, result.output
    found = json.loads((tmp_path / "out" / "accuracy.json").read_text())
    source, labels = validation_pictures(data, RECORD, Tolerance(False, lambda _: None))
    images = torch.stack([source.picture(i) for i in range(6)])
    answers = plain(load(weights).chain)((images / 255 - 0.5) / 0.25).argmax(1)
    right = int((answers == labels).sum())
    assert (found["images"], found["top1"], found["top5"]) == (6, right / 6, None)
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
    source, labels = validation_pictures(data, RECORD, Tolerance(False, lambda _: None))
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


def test_probabilities_are_calibrated(data: Path, tmp_path: Path) -> None:
    """Over a temperature of 4 the first point of the curves is the mean of the probabilities that are served, and the
    log odds of two classes move a quarter as far."""
    path, out = tmp_path / "net.safetensors", tmp_path / "out"
    save(seeded(tiny(3), 0), replace(RECORD, validation={"top1": 0.5, "images": 6, "temperature": 4.0}), path)
    assert evaluate(data, "--weights", path, "--pictures", 6, "--out", out).exit_code == 0
    source, labels = validation_pictures(data, RECORD, Tolerance(False, lambda _: None))
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
