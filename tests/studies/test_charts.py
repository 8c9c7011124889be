"""What the drawn curves show."""

import numpy as np
import torch
from numpy.typing import ArrayLike

from zfnet_explainer.studies.charts import draw_curves, draw_learning_curve
from zfnet_explainer.studies.faithfulness.curves import CENTRE, MAP, PROJECTION, RANDOM, Curves, Protocol, faithfulness
from zfnet_explainer.studies.faithfulness.study import Explanations


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


def test_the_learning_curve_marks_where_crops_grow() -> None:
    axes = draw_learning_curve([[1, 128, 2.5, 0.25], [2, 128, 2.0, 0.5], [3, 224, 1.5, 0.75]]).axes[0]
    assert values(axes.lines[0].get_xdata()) == [1, 2, 3]
    assert values(axes.lines[0].get_ydata()) == [0.25, 0.5, 0.75]
    assert [(text.get_text(), text.get_position()[0]) for text in axes.texts] == [("128 px", 0.6), ("224 px", 2.6)]


def test_no_log_no_curve() -> None:
    assert values(draw_learning_curve([]).axes[0].lines[0].get_xdata()) == []
