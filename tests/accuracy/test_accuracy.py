"""Accuracy of logits against counts made by hand."""

from dataclasses import replace

import pytest
import torch

from zfnet_explainer.accuracy.accuracy import ClassAccuracy, accuracy, as_validation, by_class, confusion, top_k
from zfnet_explainer.accuracy.calibration import calibration_error, reliability
from zfnet_explainer.accuracy.logits import logits
from zfnet_explainer.net.record import ClassName, Preprocessing
from zfnet_explainer.pictures.labelled import Pictures

from ..chains import like_zfnet, plain

# Most probable classes 2, 0, 2, 1, 0; class 3 is neither there nor answered.
LOGITS = torch.tensor(
    [
        [1.0, 2.0, 9.0, 0.0],
        [5.0, 4.0, 3.0, 2.0],
        [0.0, 1.0, 3.0, 2.0],
        [0.5, 0.7, 0.6, 0.1],
        [4.0, 1.0, 2.0, 3.0],
    ]
)
LABELS = torch.tensor([2, 0, 1, 1, 1])


def test_top_k_by_hand() -> None:
    assert [top_k(LOGITS, LABELS, k) for k in (1, 2, 3, 4, 9)] == [3 / 5, 3 / 5, 4 / 5, 1, 1]


def test_of_equal_logits_the_first_class_counts_as_in_answers() -> None:
    tied, labels = torch.zeros(40, 20), torch.tensor([0] * 30 + [12] * 10)
    assert [top_k(tied, labels, k) for k in (1, 12, 13)] == [0.75, 0.75, 1]
    assert int(confusion(tied, labels).diagonal().sum()) == 30


def test_confusion_by_hand() -> None:
    counts = confusion(LOGITS, LABELS)
    assert counts.tolist() == [[1, 0, 0, 0], [1, 1, 1, 0], [0, 0, 1, 0], [0, 0, 0, 0]]
    assert by_class(counts) == (
        ClassAccuracy(1, 1.0, 0.5),
        ClassAccuracy(3, 1 / 3, 1.0),
        ClassAccuracy(1, 1.0, 0.5),
        ClassAccuracy(0, None, None),
    )


def test_everything_together() -> None:
    found = accuracy(LOGITS, LABELS)
    assert (found.images, found.top1, found.top5) == (5, 0.6, None)
    assert found.confusion[1] == (1, 1, 1, 0)
    assert found.by_class == by_class(confusion(LOGITS, LABELS))
    assert found.reliability == reliability(LOGITS, LABELS)
    served = accuracy(LOGITS, LABELS, served_temperature=2)
    assert served.reliability == reliability(LOGITS / 2, LABELS) != found.reliability
    assert (served.top1, served.calibration.ece) == (0.6, found.calibration.ece)
    assert served.calibration.served_ece == calibration_error(served.reliability)


@pytest.mark.parametrize(("classes", "top5"), [(5, None), (6, 0.75)])
def test_five_classes_are_always_among_the_five_most_probable(classes: int, top5: float | None) -> None:
    """Of six, one picture's class is the least probable one."""
    logits = torch.arange(float(classes)).expand(4, -1)
    assert accuracy(logits, torch.tensor([1, 2, 0, 3])).top5 == top5


def test_what_the_record_gets() -> None:
    found = accuracy(LOGITS, LABELS)
    found = replace(
        found, top1=2 / 3,
        calibration=replace(
            found.calibration, ece=0.01239, temperature=0.87654, held_out_before=0.0041, held_out_after=0.00456,
            helps=True,
        ),
    )  # fmt: skip
    assert as_validation(found, [ClassName(name, name.upper()) for name in "abcd"]) == {
        "top1": 0.6667,
        "top5": None,
        "images": 5,
        "view": "centre square, one view",
        "ece": 0.0124,
        "temperature": 0.8765,
        "ece_with_temperature": 0.0046,
        "by_class": {
            "a": {"images": 1, "recall": 1.0, "precision": 0.5},
            "b": {"images": 3, "recall": 0.3333, "precision": 1.0},
            "c": {"images": 1, "recall": 1.0, "precision": 0.5},
            "d": {"images": 0, "recall": None, "precision": None},
        },
    }


def test_a_temperature_that_does_not_help_is_not_recorded() -> None:
    found = accuracy(LOGITS, LABELS)
    worse = replace(found.calibration, temperature=0.05, held_out_before=0.2, held_out_after=0.1, helps=False)
    validation = as_validation(replace(found, calibration=worse), [ClassName(name, name) for name in "abcd"])
    assert (validation["temperature"], validation["ece_with_temperature"]) == (1, 0.2)


@pytest.mark.parametrize("batch", [1, 3, 64])
def test_logits_are_those_of_the_whole_square(batch: int) -> None:
    chain = like_zfnet()
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (7, *chain.input_size), generator=generator, dtype=torch.uint8)
    pictures = Pictures(images, torch.zeros(7, dtype=torch.int64), (), ())
    told: list[int] = []
    found = logits(chain, pictures, Preprocessing(37, (0.5,) * 3, (0.25,) * 3), 41, batch, told.append)
    torch.testing.assert_close(found, plain(chain)((images / 255 - 0.5) / 0.25), rtol=0, atol=1e-5)
    assert (sum(told), max(told)) == (7, min(batch, 7))
