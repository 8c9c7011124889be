"""Validation pictures in the net's order of classes."""

from pathlib import Path

import pytest

from zfnet_explainer.accuracy.validation import validation_pictures
from zfnet_explainer.pictures.stream import Tolerance

from .labelled import LENIENT, RECORD, folder


def test_labels_are_in_the_nets_order(tmp_path: Path) -> None:
    source, labels = validation_pictures(folder(tmp_path, "n01/10", "n03/30", "n03/31"), RECORD, LENIENT)
    assert labels.tolist() == [1, 0, 0]
    assert [int(source.picture(i)[0, 0, 0]) for i in range(3)] == [10, 30, 31]


@pytest.mark.parametrize(
    ("places", "message"),
    [
        (["n01/1", "n04/2"], "val/n04 is no class of this net, which knows n03, n01, n02"),
        (["n01/1"], "1 of .*'s validation pictures can be read: a study needs at least two"),
        ([], "no pictures under"),
    ],
)
def test_what_cannot_be_studied(tmp_path: Path, places: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        validation_pictures(folder(tmp_path, *places), RECORD, LENIENT)


def test_a_class_without_pictures_is_told_or_with_strict_refused(tmp_path: Path) -> None:
    data, told = folder(tmp_path, "n01/10", "n03/30"), list[str]()
    validation_pictures(data, RECORD, Tolerance(False, told.append))
    assert told == [f"{data}/val has no picture of n02"]
    with pytest.raises(ValueError, match=r"val has no picture of n02$"):
        validation_pictures(data, RECORD, Tolerance(True, told.append))
