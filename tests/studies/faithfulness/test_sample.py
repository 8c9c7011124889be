"""Pictures drawn for a study."""

from pathlib import Path

import pytest
import torch

from zfnet_explainer.accuracy.validation import validation_pictures
from zfnet_explainer.studies.faithfulness.sample import labelled_sample, places_of, sample

from ...accuracy.labelled import LENIENT, RECORD, folder


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
