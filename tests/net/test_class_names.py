"""Names of classes in every form of their file."""

import json
from pathlib import Path
from typing import Any

import pytest

from zfnet_explainer.net.class_names import read_class_names
from zfnet_explainer.net.record import ClassName

from ..samples import MODEL_STORE


def written(folder: Path, content: Any) -> Path:
    path = folder / "labels.json"
    path.write_text(json.dumps(content))
    return path


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"n01": "tench", "n02": "crane"}, [("n01", "tench"), ("n02", "crane")]),
        (["tench", "crane"], [("tench", "tench"), ("crane", "crane")]),
        ({"0": "tench", "1": "crane"}, [("tench", "tench"), ("crane", "crane")]),
        ({"0": ["n01", "crane"], "1": ["n02", "crane"]}, [("n01", "crane"), ("n02", "crane")]),
        (["crane", "crane"], [("crane (0)", "crane"), ("crane (1)", "crane")]),
    ],
)
def test_usual_forms(tmp_path: Path, content: Any, expected: list[tuple[str, str]]) -> None:
    assert read_class_names(written(tmp_path, content), 2) == tuple(ClassName(*pair) for pair in expected)


def test_eleven_numbered_classes_are_in_the_order_of_numbers(tmp_path: Path) -> None:
    names = read_class_names(written(tmp_path, {str(n): f"class {n}" for n in range(11)}), 11)
    assert [name.label for name in names] == [f"class {n}" for n in range(11)]


def test_the_shipped_labels() -> None:
    assert read_class_names(MODEL_STORE / "labels.json", 20)[0] == ClassName("n01440764", "tench")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (["tench"], r"labels\.json names 1 classes, but the net scores 2"),
        ({"n02": "crane", "n01": "tench"}, "in no order: sort them"),
        ({"0": "tench", "2": "crane"}, 'numbers that are not "0" to "1" in this order'),
        ({"1": "crane", "0": "tench"}, 'numbers that are not "0" to "1" in this order'),
        ({"00": "tench", "01": "crane"}, 'numbers that are not "0" to "1" in this order'),
        ([["n01", "tench"], ["n01", "crane"]], "n01 twice"),
        (["tench", " "], "one line of text that is not blank, not ' '"),
        (["tench", 5], "must be JSON"),
        (
            ["tench", "cra\nne"],
            r"labels\.json: a class is called by one line of text that is not blank, not 'cra\\nne'",
        ),
        ([["n01", "tench", "more"], "crane"], "must be JSON"),
        ({"n01": "tench", "n02": None}, "must be JSON"),
        ([], "must be JSON"),
        ("tench", "must be JSON"),
    ],
)
def test_other_contents_are_refused(tmp_path: Path, content: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_class_names(written(tmp_path, content), 2)


def test_no_file_and_no_json_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"cannot read .*No such file"):
        read_class_names(tmp_path / "labels.json", 2)
    (tmp_path / "labels.json").write_text("{")
    with pytest.raises(ValueError, match=r"must be JSON: .* each a text that is not blank: Expecting"):
        read_class_names(tmp_path / "labels.json", 2)


def test_numbers_in_the_order_of_folders_are_refused(tmp_path: Path) -> None:
    """`ImageFolder` sorts as text: its class 2 is the folder 10."""
    folders = sorted(str(n) for n in range(12))
    with pytest.raises(ValueError, match=r"folders write a list in the order of sorted\(folders\)"):
        read_class_names(written(tmp_path, {folder: f"class {folder}" for folder in folders}), 12)
