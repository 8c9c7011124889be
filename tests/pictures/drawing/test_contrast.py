"""The panel of a figure that compares two classes."""

from dataclasses import replace

import numpy as np
import pytest

from tests.occlusions import by_hand
from tests.pictures.drawing.figures import at, boxes, texts
from zfnet_explainer.methods.squares import squares
from zfnet_explainer.net.geometry import Box
from zfnet_explainer.pictures.drawing.common import COLUMNS
from zfnet_explainer.pictures.drawing.figure import draw
from zfnet_explainer.pictures.drawing.figure7 import CONTRAST_ROW
from zfnet_explainer.pictures.drawing.page import SIDE

from .drawn import RECORD, cells, contrasted, drawn, explanation, occlusion, projections


@pytest.mark.parametrize("layers", [(), (5,)], ids=["alone", "beside projections"])
def test_log_odds_are_drawn_around_the_unoccluded_where_a_contrast_was_asked_for(layers: tuple[int, ...]) -> None:
    page = drawn(tuple(projections(layer) for layer in layers), contrasted(50, 29))
    ax = at(page, COLUMNS[0], CONTRAST_ROW)
    shown = cells(ax)
    assert np.asarray(shown.get_array()).ravel()[[0, -1]] == pytest.approx([1, -3])
    assert shown.get_clim() == pytest.approx((-3, 4)), "3.5 to both sides of 0.5"
    assert shown.get_cmap().name == "RdBu"
    assert [line.get_marker() for line in ax.lines] == ["X"]
    assert ax.lines[0].get_xdata() == ax.lines[0].get_ydata() == [199]
    assert "(f) Log odds: class 0 against class 1" in texts(page)
    assert [text for text in texts(page) if text.startswith("▸ unoccluded 0.50 nats, lowest ✕ -3.00")]
    bars = [bar.get_ylabel() for bar in page.figure.axes if "nats" in bar.get_ylabel()]
    assert bars == ["log p(target) - log p(other), nats"]
    assert boxes(at(page, COLUMNS[1], CONTRAST_ROW)) == [Box(174, 174, 224, 224)]
    assert "it takes 3.50 nats from class 0" in texts(page)


def test_log_odds_that_only_rounding_moves_are_drawn_as_unchanged() -> None:
    page = drawn(None, contrasted(112, 112, lowest=0.5 - 1.7e-6, highest=0.5))
    shown = cells(at(page, COLUMNS[0], CONTRAST_ROW))
    assert shown.get_clim() == pytest.approx((0.4, 0.6))
    [bar] = [bar for bar in page.figure.axes if "nats" in bar.get_ylabel()]
    assert bar.yaxis.get_offset_text().get_text() == ""
    assert "no square takes from class 0" in texts(page)


def test_a_colour_bars_ticks_say_their_numbers_in_full() -> None:
    """None shares an offset or a power of ten with the others, which would run over the heading."""
    found = contrasted(112, 112, lowest=-49.9, highest=-50)
    far = replace(found, logits_unoccluded=found.logits[0, 0])
    tiny = np.full(far.flipped.shape, 2e-7, np.float32)
    page = drawn(None, replace(far, feature_activity=np.full(tiny.shape, 3e8, np.float32)))
    rare = by_hand(found.squares, tiny, np.ones(tiny.shape, np.int64), 2e-7, 1)
    bars = [bar for made in (page, drawn(None, rare)) for bar in made.figure.axes if bar.get_ylabel()]
    named = [bar for bar in bars if bar.get_ylabel() != "centre of the square, pixels"]
    assert len(named) == 5
    assert [bar.yaxis.get_offset_text().get_text() for bar in named] == [""] * 5


def test_without_a_contrast_there_is_no_f() -> None:
    page = drawn(None, occlusion(112, 112))
    assert not [text for text in texts(page) if text.startswith("(f)")]
    assert page.height < drawn(None, contrasted(112, 112)).height - SIDE, "nor room for it"


def test_a_contrast_from_which_no_square_takes_says_so() -> None:
    found = contrasted(112, 112)
    given = replace(found, logits=found.logits[:1, :1], squares=squares(112, 112, 112, 112))
    page = draw(explanation(None, given), RECORD)
    assert "no square takes from class 0" in texts(page)
