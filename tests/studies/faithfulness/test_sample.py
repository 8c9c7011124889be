"""Validation pictures in the net's order of classes."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from zfnet_explainer.net.record import ClassName, Preprocessing, Record
from zfnet_explainer.pictures.stream import Tolerance
from zfnet_explainer.studies.faithfulness.sample import labelled_sample, places_of, sample, validation_pictures

SIDE = 16
LENIENT = Tolerance.of(False, lambda _: None)
RECORD = Record(
    name="tiny",
    architecture="tiny",
    classes=(ClassName("n03", "c"), ClassName("n01", "a"), ClassName("n02", "b")),
    preprocessing=Preprocessing(SIDE, (0.5,) * 3, (0.5,) * 3),
    training={},
    validation={"top1": 0.5, "images": 4},
    licence="",
)


def folder(path: Path, *places: str) -> Path:
    """One picture a place `CLASS/VALUE`, all of that grey value."""
    for place in places:
        file = path / "val" / f"{place}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((SIDE, SIDE, 3), int(file.stem), np.uint8)).save(file)
    return path


def test_labels_are_in_the_nets_order(tmp_path: Path) -> None:
    source, labels = validation_pictures(folder(tmp_path, "n01/10", "n03/30", "n03/31"), RECORD, LENIENT)
    assert labels.tolist() == [1, 0, 0]
    assert [int(source.picture(i)[0, 0, 0]) for i in range(3)] == [10, 30, 31]


@pytest.mark.parametrize(
    ("places", "message"),
    [
        (["n01/1", "n04/2"], "val/n04 is no class of this net, which knows n03, n01, n02"),
        (["n01/1"], "holds one validation picture: a study needs at least two"),
        ([], "no pictures under"),
    ],
)
def test_what_cannot_be_studied(tmp_path: Path, places: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        validation_pictures(folder(tmp_path, *places), RECORD, LENIENT)


def test_a_class_without_pictures_is_told_or_with_strict_refused(tmp_path: Path) -> None:
    data, told = folder(tmp_path, "n01/10", "n03/30"), list[str]()
    validation_pictures(data, RECORD, Tolerance.of(False, told.append))
    assert told == [f"{data}/val has no picture of n02"]
    with pytest.raises(ValueError, match=r"val has no picture of n02$"):
        validation_pictures(data, RECORD, Tolerance.of(True, told.append))


def test_a_sample_is_drawn_by_its_seed(tmp_path: Path) -> None:
    source, _ = validation_pictures(folder(tmp_path, *(f"n01/{i}" for i in range(10, 30))), RECORD, LENIENT)

    def drawn(count: int, seed: int) -> list[int]:
        return [int(value) for value in sample(source, count, seed)[:, 0, 0, 0]]

    assert drawn(5, 0) == drawn(5, 0)
    assert drawn(5, 0) != drawn(5, 1)
    assert len(set(drawn(5, 0))) == 5
    assert sorted(drawn(50, 0)) == list(range(10, 30))
    assert drawn(20, 0) != sorted(drawn(20, 0)), "the first few are not of one class"
    assert sample(source, 3, 0).dtype == torch.uint8


def test_a_sample_of_some_classes(tmp_path: Path) -> None:
    places = *(f"n01/{i}" for i in range(10, 20)), *(f"n02/{i}" for i in range(20, 30)), "n03/30"
    source, labels = validation_pictures(folder(tmp_path, *places), RECORD, LENIENT)
    some, every = places_of(["n03", "n02"], labels, RECORD), places_of(None, labels, RECORD)
    assert len(every) == 21
    pictures, drawn = labelled_sample(source, labels, some, 50, 0)
    values = pictures[:, 0, 0, 0].tolist()
    assert sorted(values) == list(range(20, 31))
    assert drawn.tolist() == [0 if value == 30 else 2 for value in values], "in the net's order of classes"
    assert torch.equal(labelled_sample(source, labels, some, 3, 0)[0], pictures[:3])
    assert labelled_sample(source, labels, some, 11, 1)[0][:, 0, 0, 0].tolist() != values


@pytest.mark.parametrize(
    ("synsets", "message"),
    [(["n01", "beagle"], "'beagle' is no class of this net, which knows n03, n01, n02"), (["n03"], "have 1$")],
)
def test_classes_that_cannot_be_studied(synsets: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        places_of(synsets, torch.tensor([0, 1, 1, 2]), RECORD)
