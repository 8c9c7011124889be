"""What is said of a net that nobody has trained or measured here."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from zfnet_explainer.accuracy.accuracy import Accuracy, ClassAccuracy, accuracy
from zfnet_explainer.accuracy.calibration import Bin, Calibration
from zfnet_explainer.accuracy.groups import group_accuracy
from zfnet_explainer.net.own import save_checkpoint
from zfnet_explainer.net.record import ClassName, Preprocessing, Record
from zfnet_explainer.studies.model_card import accuracy_tables, card_tables, group_tables, training_tables
from zfnet_explainer.studies.tables import Table


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    return tmp_path / "net.safetensors"


@pytest.fixture
def record(weights: Path) -> Record:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 6 * 6, 2))
    return save_checkpoint(
        net, weights, classes=("cat", "dog"), preprocessing=Preprocessing(8, (0.5,) * 3, (0.3,) * 3), licence="mine"
    ).record


def said(table: Table) -> dict[str, str]:
    """A table's second column by its first."""
    return {row[0]: row[1] for row in table.rows}


def test_an_unmeasured_accuracy_is_said_to_be(record: Record) -> None:
    logits, labels = torch.tensor([[2.0, 0.0], [0.0, 1.0], [1.0, 0.0], [3.0, 1.0]]), torch.tensor([0, 1, 1, 0])
    rows = said(accuracy_tables(accuracy(logits, labels), record)[0])
    assert rows["top-1 in the record"] == "not measured"
    assert rows["top-1"].startswith("75.0 %")
    assert "top-5" not in rows, "of two classes"


def test_every_number_of_an_accuracy_is_in_its_place(record: Record) -> None:
    measured = Accuracy(
        images=100,
        top1=0.7,
        top5=0.9,
        by_class=(ClassAccuracy(60, recall=0.8, precision=0.75), ClassAccuracy(40, recall=0.55, precision=0.65)),
        confusion=((48, 12), (18, 22)),
        calibration=Calibration(
            ece=0.11, served_temperature=1.5, served_ece=0.12, temperature=1.75, held_out_images=50,
            held_out_temperature=1.25, held_out_before=0.13, held_out_after=0.14, helps=False,
        ),
        reliability=(
            Bin(0.4, 0.6, images=30, confidence=0.51, right=0.52), Bin(0.6, 0.8, images=0, confidence=None, right=None),
            Bin(0.8, 1.0, images=70, confidence=0.91, right=0.93),
        ),
    )  # fmt: skip
    tables = {table.name: table for table in accuracy_tables(measured, record)}
    rows = said(tables["accuracy"])
    assert (rows["pictures"], rows["top-1"], rows["top-5"]) == ("100", "70.0 % (60.4 to 78.1)", "90.0 % (82.6 to 94.5)")
    assert tables["classes"].columns == ("class", "pictures", "recall", "precision")
    assert tables["classes"].rows == (("cat", "60", "80.0 %", "75.0 %"), ("dog", "40", "55.0 %", "65.0 %"))
    assert tables["confusions"].columns == ("is", "taken for", "pictures", "share of the class")
    assert tables["confusions"].rows == (("dog", "cat", "18", "45.0 %"), ("cat", "dog", "12", "20.0 %"))
    assert tables["calibration"].columns == ("pictures", "temperature", "expected calibration error")
    assert tables["calibration"].rows == (
        ("all", "1", "11.00 %"),
        ("all", "1.500 (as served)", "12.00 %"),
        ("50 held out", "1", "13.00 %"),
        ("50 held out", "1.250", "14.00 %"),
    )
    assert "fitted to all, it is 1.750" in tables["calibration"].note
    assert tables["reliability"].columns == ("confidence", "pictures", "mean confidence", "right")
    assert tables["reliability"].rows == (
        ("0.40 to 0.60", "30", "51.0 %", "52.0 %"),
        ("0.80 to 1.00", "70", "91.0 %", "93.0 %"),
    )


def test_classes_of_one_label_are_told_apart(record: Record) -> None:
    cranes = replace(record, classes=(ClassName("n1", "crane"), ClassName("n2", "crane"), ClassName("n3", "heron")))
    measured = accuracy(torch.tensor([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, 1.0]]), torch.tensor([0, 1, 2]))
    tables = {table.name: table for table in accuracy_tables(measured, cranes)}
    assert [row[0] for row in tables["classes"].rows] == ["crane (n1)", "crane (n2)", "heron"]
    assert [row[:2] for row in tables["confusions"].rows] == [("crane (n1)", "crane (n2)"), ("crane (n2)", "heron")]
    for table in tables.values():
        assert len({row[: table.keys] for row in table.rows}) == len(table.rows), table.name


def test_a_group_without_pictures_has_no_accuracy() -> None:
    logits, labels = torch.tensor([[2.0, 0.0, 5.0], [0.0, 1.0, -1.0], [3.0, 1.0, 2.0]]), torch.tensor([0, 1, 1])
    [table] = group_tables(
        [group_accuracy(logits, labels, "two", (0, 1)), group_accuracy(logits, labels, "none", (2,))]
    )
    assert table.rows[0][:3] == ("two", "2", "3")
    assert [cell.partition(" (")[0] for cell in table.rows[0][3:]] == ["66.7 %", "33.3 %"]
    assert table.rows[1] == ("none", "1", "0", "–", "–")


def test_the_cost_of_storage_is_there_and_no_learning_curve(record: Record) -> None:
    [storage] = training_tables(record)
    assert storage.columns[1] == "on 4 random pictures"
    assert storage.note == "Measured when the weights were stored."
    assert record.storage is not None
    difference = record.storage["largest_logit_difference"]
    assert difference > 0
    assert said(storage) == {"precision": "float16", "largest difference of a logit": f"{difference:g}"}


def test_the_learning_curve_keeps_the_name_of_what_was_measured(record: Record) -> None:
    """Alone, and after a run that was measured on other pictures."""
    row = {"epoch": 1, "side": 32, "loss": 1.5, "images_per_s": 7.0}
    first = {"log": [row | {"val_top1": 0.25}]}
    last = {"log": [row | {"held_back_top1": 0.5}, row | {"epoch": 2, "held_back_top1": 0.625}]}
    alone = training_tables(replace(record, training=last))[1]
    assert alone.columns == ("epoch", "pixels", "loss", "held-back top-1")
    assert alone.rows == (("1", "32", "1.500", "50.0 %"), ("2", "32", "1.500", "62.5 %"))
    both = training_tables(replace(record, training=last | {"start": first}))[1]
    assert both.columns[3:] == ("validation top-1", "held-back top-1")
    assert [(line[0], *line[3:]) for line in both.rows] == [
        ("1", "25.0 %", "–"), ("2", "–", "50.0 %"), ("3", "–", "62.5 %"),
    ]  # fmt: skip


def test_the_card_names_the_net(record: Record, weights: Path) -> None:
    rows = said(card_tables(record, weights)[0])
    assert rows["net"] == "sequential, 2 classes, 8 pixels"
    assert rows["terms"] == "mine"
