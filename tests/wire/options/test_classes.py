"""Classes, named or numbered."""

from dataclasses import replace
from typing import Any

import pytest

from zfnet_explainer.errors import InvalidOption
from zfnet_explainer.net.record import ClassName
from zfnet_explainer.wire.options import (
    as_written,
    explain_options,
)
from zfnet_explainer.wire.values import ClassIndex

from .asking import CLASSES, RULES, explain


@pytest.mark.parametrize(
    ("written", "index"),
    [
        (0, 0),
        ("4", 4),
        ("n02099601", 1),
        ("N02012849", 2),
        ("tench", 0),
        ("Golden_Retriever", 1),
        ("  golden   RETRIEVER ", 1),
        ("golf ball", 4),
    ],
)
def test_targets(written: Any, index: int) -> None:
    assert explain(target=written).target == index


# Folders called 1 to 12, in the order in which their names sort: 1, 10, 11, 12, 2, ...
NUMBERED = tuple(ClassName(name, name) for name in sorted(map(str, range(1, 13))))


@pytest.mark.parametrize("written", ["2", " 2 ", "12", "1"])
def test_what_is_a_class_s_name_is_no_index(written: str) -> None:
    options, _ = explain_options({"target": written}, "", replace(RULES, classes=NUMBERED), "plain")
    assert options.target is not None
    assert NUMBERED[options.target].label == written.strip()


@pytest.mark.parametrize("written", [2, "02"])
def test_a_number_that_is_one_class_s_index_and_another_s_name_is_refused(written: Any) -> None:
    with pytest.raises(InvalidOption, match='must be "2" as text for the class of that name'):
        explain_options({"target": written}, "", replace(RULES, classes=NUMBERED), "plain")


def test_a_number_that_is_no_name_is_an_index() -> None:
    assert explain_options({"target": "0"}, "", replace(RULES, classes=NUMBERED), "plain")[0].target == 0
    own_index = (ClassName("n0", "0"), ClassName("n1", "1"))
    assert [
        explain_options({"target": n}, "", replace(RULES, classes=own_index), "plain")[0].target for n in (1, "1")
    ] == [1, 1]


def test_a_class_called_second_is_not_exchanged_for_the_second_in_silence() -> None:
    rules = replace(RULES, classes=(*CLASSES, ClassName("n7", "Second")))
    with pytest.raises(InvalidOption, match="for the class of that name say n7 or its index"):
        explain_options({"contrast": "second"}, "", rules, "plain")
    assert explain_options({"contrast": "n7"}, "", rules, "plain")[0].contrast == len(CLASSES)
    assert explain_options({"target": "second"}, "", rules, "plain")[0].target == len(CLASSES)


def test_classes_are_written_as_what_the_server_reads_as_that_class() -> None:
    """By name: an index may be the name of another class."""
    labels = {"n00": "1", "n01": "2", "n02": "0", "n03": "Second", "n04": "crane", "n05": "crane", "n06": "n00"}
    classes = tuple(ClassName(synset, label) for synset, label in labels.items())
    rules = replace(RULES, classes=classes)
    said = []
    for index in range(len(classes)):
        asked = replace(explain(contrast="second"), target=index, contrast=(index + 1) % len(classes))
        written = dict(as_written(asked, classes))
        assert explain_options(written, "", rules, "plain")[0] == asked
        said.append(written["target"])
    assert said == ["1", "2", "0", "n03", "n04", "n05", "n06"]


@pytest.mark.parametrize(
    "names",
    [
        ["tench", "Golf_ball", "golf ball", "Second"],
        ["Cat", "cat", "red_car", "red car"],
        ["10", "2", "1", "second"],
    ],
)
def test_a_class_is_written_so_that_it_is_read_as_the_same(names: list[str]) -> None:
    """Folders of pictures, whose names are label and synset, however alike they are."""
    known = ClassIndex(tuple(ClassName(name, name) for name in names), "second")
    written = [known.written(index) for index in range(len(names))]
    assert [known.parse("target", text) for text in written] == [*range(len(names))]


# Folders of letters: each is named as it is written, and in another case only where that says which.
@pytest.mark.parametrize(("written", "index"), [("A", 0), ("a", 1), (" a ", 1), ("Red_car", 2), ("RED CAR", 2)])
def test_names_that_differ_in_case_alone_are_taken_as_they_are_written(written: str, index: int) -> None:
    known = ClassIndex(tuple(ClassName(name, name) for name in ("A", "a", "red car")))
    assert known.parse("target", written) == index


def test_a_name_is_the_same_however_its_letters_are_composed() -> None:
    """The folders of a Mac are composed otherwise than what is typed."""
    typed, folder = "caf\u00e9", "cafe\u0301"
    assert ClassIndex((ClassName("bar", "bar"), ClassName(folder, folder))).parse("target", typed) == 1
    assert ClassIndex((ClassName(typed, typed), ClassName(folder, folder))).parse("target", folder) == 1


def test_names_that_blanks_alone_tell_apart_are_said_by_index() -> None:
    """A blank at the end may be lost on the way."""
    known = ClassIndex((ClassName("cat", "cat"), ClassName("cat ", "cat ")))
    assert [known.written(index) for index in range(2)] == ["0", "1"]
