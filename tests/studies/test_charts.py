"""What the drawn curves show."""

import numpy as np
import pytest
import torch
from numpy.typing import ArrayLike

from zfnet_explainer.studies.charts import draw_curves, draw_learning_curve
from zfnet_explainer.studies.faithfulness.curves import CENTRE, MAP, PROJECTION, RANDOM, Curves, Protocol, faithfulness
from zfnet_explainer.studies.faithfulness.study import Explanations
from zfnet_explainer.training.log import Row


def values(data: ArrayLike) -> list[float]:
    found: list[float] = np.asarray(data).tolist()
    return found


def test_curves_lie_over_the_share_of_the_picture() -> None:
    one = {
        name: Curves(torch.tensor([0.7, end, 0.1]), torch.tensor([0.1, 1 - end, 0.7]))
        for name, end in ((MAP, 0.125), (PROJECTION, 0.25), (CENTRE, 0.375), (RANDOM, 0.5))
    }
    found = faithfulness([one, one], seed=0)
    study = Explanations(2, Protocol.of(224), {"gray": found, "blur": found}, {}, 0, ())
    panels = draw_curves(study).axes
    assert [axes.get_xlabel() for axes in panels] == [
        f"share of the picture {what}"
        for what in ("covered with gray", "uncovered from gray", "covered with blur", "uncovered from blur")
    ]
    drawn = {line.get_label(): (values(line.get_xdata()), values(line.get_ydata())) for line in panels[2].lines}
    assert list(drawn) == [MAP, PROJECTION, CENTRE, RANDOM]
    shares, probabilities = drawn[PROJECTION]
    assert shares == [0, 0.5, 1]
    assert probabilities[1] == 0.25
    assert [values(line.get_ydata())[1] for line in panels[1].lines] == [0.875, 0.75, 0.625, 0.5]
    for axes in panels:
        bottom, top = axes.get_ylim()
        assert bottom == 0
        assert top > 0.875, "insertion passes what both curves begin or end with, and both panels have its scale"


def rows(name: str, *epochs: tuple[int, int, float]) -> list[Row]:
    return [{"epoch": epoch, "side": side, "loss": 1.0, name: share} for epoch, side, share in epochs]


@pytest.mark.parametrize(("name", "title"), [("val_top1", "validation top-1"), ("held_back_top1", "held-back top-1")])
def test_the_learning_curve_says_what_it_was_measured_on_and_marks_where_crops_grow(name: str, title: str) -> None:
    axes = draw_learning_curve(rows(name, (1, 128, 0.25), (2, 128, 0.5), (3, 224, 0.75))).axes[0]
    assert values(axes.lines[0].get_xdata()) == [1, 2, 3]
    assert values(axes.lines[0].get_ydata()) == [0.25, 0.5, 0.75]
    assert [(text.get_text(), text.get_position()[0]) for text in axes.texts] == [("128 px", 0.6), ("224 px", 2.6)]
    assert axes.get_ylabel() == title
    assert axes.get_legend() is None


def test_two_measures_are_two_curves() -> None:
    """A run that held pictures back, between two that did not."""
    log = [*rows("val_top1", (1, 64, 0.25)), *rows("held_back_top1", (2, 64, 0.5)), *rows("val_top1", (3, 64, 0.75))]
    axes = draw_learning_curve(log).axes[0]
    assert axes.get_ylabel() == "validation top-1, held-back top-1"
    first, second = (line for line in axes.lines if not str(line.get_label()).startswith("_"))
    assert (first.get_label(), second.get_label()) == ("validation top-1", "held-back top-1")
    assert first.get_color() != second.get_color()
    np.testing.assert_equal(values(first.get_ydata()), [0.25, np.nan, 0.75])
    np.testing.assert_equal(values(second.get_ydata()), [np.nan, 0.5, np.nan])
    assert axes.get_legend() is not None
