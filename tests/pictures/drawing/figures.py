"""What stands on a figure's page, asked of its artists: no picture of them is needed."""

import pytest
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from zfnet_explainer.net.geometry import Box
from zfnet_explainer.pictures.drawing.page import WIDTH, Page

# What takes a figure's place where none is made.
FIGURE = b"a figure"


def texts(page: Page) -> list[str]:
    """Titles, details and the footer, in the order they were written."""
    return [text.get_text() for text in page.figure.texts]


def corner(page: Page, ax: Axes) -> tuple[float, float]:
    """Left and top in inches."""
    box = ax.get_position()
    return round(WIDTH * box.x0, 3), round(page.height * (1 - box.y1), 3)


def at(page: Page, left: float, top: float) -> Axes:
    """What was placed there."""
    [ax] = [ax for ax in page.figure.axes if corner(page, ax) == pytest.approx((left, top), abs=1e-3)]
    return ax


def pictures(page: Page) -> list[Axes]:
    """The picture itself, where it is shown, and every tile."""
    return [ax for ax in page.figure.axes if ax.images]


def captions(page: Page) -> list[str]:
    """What stands below the tiles, those with nothing left out."""
    return [ax.get_xlabel() for ax in pictures(page) if ax.get_xlabel()]


def boxes(ax: Axes) -> list[Box]:
    """The outlines on a picture."""
    found = [patch.get_bbox() for patch in ax.patches if isinstance(patch, Rectangle)]
    return [Box(int(box.y0), int(box.x0), int(box.y1), int(box.x1)) for box in found]


def kept(monkeypatch: pytest.MonkeyPatch) -> list[Page]:
    """The pages of the figures that are asked for from now on, none of which becomes a picture."""
    pages: list[Page] = []

    def png(page: Page) -> bytes:
        pages.append(page)
        return FIGURE

    monkeypatch.setattr(Page, "png", png)
    return pages
