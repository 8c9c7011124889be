"""What a figure says: legends, headings, numbers, footer."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from tests.occlusions import by_hand
from tests.pictures.drawing.figures import at, captions, texts
from zfnet_explainer.explanation import (
    Agreement,
    CrossCheck,
    Occlusion,
    Other,
)
from zfnet_explainer.methods.squares import squares
from zfnet_explainer.net.record import ClassName
from zfnet_explainer.pictures.display import CLASS_COLOURS, PROJECTION_NOTE, legend
from zfnet_explainer.pictures.drawing.common import COLUMNS, TOP
from zfnet_explainer.pictures.drawing.figure import draw, footer
from zfnet_explainer.pictures.drawing.maps import legend_labels
from zfnet_explainer.pictures.drawing.text import label, share

from .drawn import CLASSES, NAMES, RECORD, cells, contrasted, drawn, explanation, occlusion, projections


def test_a_prediction_under_no_square_has_its_place_in_the_legend() -> None:
    grid = squares(224, 224, 112, 112)
    elsewhere = by_hand(grid, np.full((2, 2), 0.1, np.float32), np.full((2, 2), 5), 0.85, 0)
    ax = at(drawn(None, elsewhere), *CLASSES)
    key = ax.get_legend()
    assert key is not None
    assert [text.get_text() for text in key.get_texts()] == ["class 0 (0)", "class 5 (4)"]
    shown = cells(ax)
    assert {shown.to_rgba(value)[:3] for value in np.asarray(shown.get_array()).ravel()} == {
        tuple(channel / 255 for channel in CLASS_COLOURS[1])
    }


def test_a_probability_has_no_exponent_and_only_nothing_and_all_are_told_as_that() -> None:
    assert [share(p) for p in (0.0, 1e-30, 0.00099, 0.001, 0.05, 0.9994, 0.9996, 1.0)] == [
        "0.00", "<0.001", "<0.001", "0.00100", "0.0500", "0.999", ">0.999", "1.00",
    ]  # fmt: skip
    grid = squares(224, 224, 112, 112)
    sure = by_hand(grid, np.full((2, 2), 0.9996, np.float32), np.zeros((2, 2), int), 0.9999, 0)
    assert "▸ unoccluded >0.999, lowest ✕ >0.999, highest ◯ >0.999" in texts(drawn(None, sure))


def test_activations_have_three_digits_and_no_exponent() -> None:
    part = projections(5, 3)
    strong = [replace(f, activation=a) for f, a in zip(part.features, (1234.5, 0.0123456, 40.0), strict=True)]
    found = replace(occlusion(112, 112), feature_unoccluded=1_234_567.0)
    elsewhere = Other(np.zeros((9, 9, 3), np.uint8), 98_765.0, "a.png", "n0")
    page = drawn((replace(part, features=tuple(strong)),), found)
    assert "▸ unoccluded 1,230,000" in texts(page)
    assert "activation 1,230; mid-grey is zero, contrast is its own" in texts(page)
    assert captions(page)[2:] == ["2: 40", "1: 0.0123"]
    others_too = drawn((replace(part, features=tuple(strong), others={0: (elsewhere,)}),), found)
    assert captions(others_too)[2:] == ["98,800"]


def test_the_legend_names_the_classes_that_occur_with_their_squares() -> None:
    entries = legend([(13, 3), (2, 2), (5, 1)])
    assert legend_labels(entries, NAMES) == ["class 13 (3)", "class 2 (2)", "class 5 (1)"]


def test_the_legend_of_many_classes_ends_with_the_others() -> None:
    entries = legend([(i, 2 if i < 7 else 1) for i in range(20)])
    assert legend_labels(entries, NAMES) == [*(f"class {i} (2)" for i in range(7)), "13 other classes (13)"]


def test_a_long_label_is_cut() -> None:
    names = (ClassName("n", "West Highland white terrier"),)
    assert legend_labels(legend([(0, 1600)]), names) == ["West Highland white ter… (1,600)"]


def test_labels_that_are_cut_are_told_apart_by_their_ends_or_else_by_their_numbers() -> None:
    labels = (
        *("weld_surface_left_side_crack", "weld_surface_left_side_pore", "weld_surface_right_side_pore"),
        *("weld_surface_under_a_very_long_name_1_of_the_plates", "weld_surface_under_a_very_long_name_2_of_the_plates"),
        *("猫猫猫猫犬犬犬犬", "猫猫猫猫鳥鳥鳥鳥", "pore"),
    )
    names = tuple(ClassName(name, name) for name in labels)
    assert [label(names, i) for i in range(8)] == [
        *("weld_surfac…t_side_crack", "weld_surfac…ft_side_pore", "weld_surface_right_side…"),
        *("weld_surface_under_a… #3", "weld_surface_under_a… #4"),
        *("U+732BU+732…U+72ACU+72AC", "U+732BU+732…U+9CE5U+9CE5", "pore"),
    ]
    assert label(names, 0, 17) == "weld_sur…de_crack"
    assert len({label(names, i, 17) for i in range(8)}) == 8


def test_a_label_from_right_to_left_is_written_where_matplotlib_can(monkeypatch: pytest.MonkeyPatch) -> None:
    names = (ClassName("n0", "כלב"), ClassName("n1", "كلب"), ClassName("n2", "pore"))
    for laid_out, told in ((True, ["כלב", "كلب", "pore"]), (False, ["n0", "n1", "pore"])):
        monkeypatch.setattr("zfnet_explainer.pictures.drawing.text.LAID_OUT", laid_out)
        # A length of its own: labels are kept.
        assert [label(names, i, 20 + laid_out) for i in range(3)] == told


def test_the_footer_says_what_the_figure_was_made_with() -> None:
    found = occlusion(17, 10, fill="blur")
    made, note = footer(explanation((projections(5, 1),), found), RECORD)
    assert made == (
        "zfnet-tiny · validation top-1 74.2 % · weights 01234567 · "
        "window 17 px, stride 10 px, fill blur · float32, exact"
    )
    assert note == PROJECTION_NOTE


def test_the_footer_says_whether_captum_agrees() -> None:
    check = CrossCheck("captum", "0.9.0", Agreement(5.6e-7), Agreement(0.25), {}, {})
    checked = replace(explanation((projections(5, 1),), occlusion(17, 10)), crosscheck=check)
    _, said, _ = footer(checked, RECORD)
    assert said == (
        "captum 0.9.0: projections agree, largest difference 5.6e-07 of the largest value; "
        "occlusion maps do not agree, largest difference 2.5e-01 of the largest value"
    )
    assert said in texts(draw(checked, RECORD))


def test_nothing_alike_is_a_fault_in_any_precision() -> None:
    assert [Agreement(apart, must_agree=False).agrees for apart in (0.3, 1.0, 3e38)] == [None, False, False]


def test_the_footer_does_not_blame_a_reduced_precision() -> None:
    check = CrossCheck("captum", "0.9.0", None, Agreement(0.012, must_agree=False), {}, {})
    reduced = replace(occlusion(17, 10), precision="bfloat16", max_deviation=0.004)
    _, said = footer(replace(explanation(None, reduced), crosscheck=check), RECORD)
    assert said == (
        "captum 0.9.0: occlusion maps are rounded and need not agree, largest difference 1.2e-02 of the largest value"
    )


def test_small_probabilities_keep_their_digits_and_the_highest_is_told() -> None:
    found = occlusion(112, 112)
    probability = np.array([[0.00941, 0.00712], [0.3333, 0.0094]], np.float32)
    found = by_hand(found.squares, probability, np.ones((2, 2), np.int64), 0.009449, 1)
    page = draw(explanation(None, found), RECORD)
    assert "▸ unoccluded 0.00945, lowest ✕ 0.00712, highest ◯ 0.333" in texts(page)


@pytest.mark.parametrize("found", [None, occlusion(112, 112)], ids=["one layer alone", "Figure 7"])
def test_maps_that_were_named_are_not_called_the_strongest(found: Occlusion | None) -> None:
    part = replace(projections(5, 3), ranks={0: 1, 1: 4, 2: 9})
    said = texts(draw(explanation((part,), found), RECORD))
    assert "The next strongest maps" not in said
    assert "The other maps asked for" in said


def test_maps_that_have_no_room_beside_other_pictures_are_told() -> None:
    other = Other(np.zeros((96, 96, 3), np.uint8), 1.0, "a.png", "n0")
    part = replace(projections(5, 3), ranks={0: 1, 1: 4, 2: 9}, others={0: (other,)})
    page = draw(explanation((part,), occlusion(112, 112)), RECORD)
    assert "activation; others=0 draws the other maps asked for" in texts(page)
    assert max(text.get_window_extent().x1 for text in page.figure.texts) <= page.figure.bbox.x1


def test_the_footer_of_reduced_precision_says_how_far_it_is_off() -> None:
    found = replace(occlusion(32, 32), precision="bfloat16", max_deviation=0.00312)
    [made] = footer(explanation(None, found), RECORD)
    assert made.endswith("bfloat16, at most 3.1e-03 from float32 where compared")
    [made] = footer(explanation(None, replace(found, contrast_class=1, log_odds_deviation=0.0213)), RECORD)
    assert made.endswith("bfloat16, at most 3.1e-03 (log odds 2.1e-02 nats) from float32 where compared")


def test_headings_of_long_labels_leave_each_other_room() -> None:
    names = tuple(ClassName("x", f"{i} West Highland white terrier") for i in range(20))
    page = drawn((projections(5),), contrasted(50, 50), replace(RECORD, classes=names))
    written = [text.get_window_extent() for text in page.figure.texts]
    assert not [pair for pair in combinations(written, 2) if pair[0].overlaps(pair[1])]
    assert max(box.x1 for box in written) <= page.figure.bbox.x1


@pytest.mark.filterwarnings("error:Glyph")
def test_labels_in_any_script_are_drawn_and_where_the_font_has_no_glyphs_the_synset() -> None:
    labels = ("秋田犬", "كلب صيد", "犬 🐕", "café crème", "собака")
    names = (*(ClassName(f"n{i}", label) for i, label in enumerate(labels)), *NAMES[5:])
    page = drawn(None, contrasted(112, 112), replace(RECORD, classes=names))
    shown = [text.get_text() for text in at(page, COLUMNS[2], TOP).texts]
    assert shown[::2] == ["n0", "كلب صيد", "n2", "café crème", "собака"]
    assert "(d) Probability of n0" in texts(page)
    assert "(f) Log odds: n0 against كلب صيد" in texts(page)


@pytest.mark.filterwarnings("error:Glyph")
def test_what_no_glyph_is_there_for_is_drawn_as_its_number() -> None:
    names = (ClassName("猫", "猫"), *NAMES[1:])
    page = drawn(None, occlusion(112, 112), replace(RECORD, classes=names, name="猫-zfnet"))
    assert "(d) Probability of U+732B" in texts(page)
    assert texts(page)[-1].startswith("U+732B-zfnet · ")


def test_an_accuracy_that_nobody_measured_is_said_to_be_that() -> None:
    [made] = footer(explanation(None, occlusion(112, 112)), replace(RECORD, validation=None))
    assert made.startswith("zfnet-tiny · accuracy not measured · weights 01234567 · ")


def test_two_classes_of_one_label_are_told_apart_by_their_synsets() -> None:
    alike = ClassName("n02012849", "crane"), ClassName("n03126707", "crane")
    page = drawn(None, occlusion(112, 112), replace(RECORD, classes=(*alike, *NAMES[2:])))
    written = " ".join(texts(page))
    assert "crane" not in written
    assert "n02012849" in written
