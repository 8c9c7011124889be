"""The PNG answer: Figure 7 of Zeiler & Fergus for one picture, and the hierarchy of its layers."""

from collections.abc import Callable
from functools import partial

from ...explanation import CrossCheck, Explanation, Occlusion
from ...net.record import Record
from ..display import PROJECTION_NOTE
from ..words import METHOD_NAMES, evaluation, verdict
from .common import COLUMNS
from .figure7 import figure7, figure7_height
from .page import GREY, SMALL, Page
from .projections import hierarchy, hierarchy_height, one_layer, one_layer_height
from .text import legible

FOOTER = 0.7

Block = tuple[float, Callable[[Page, float, Explanation, Record], None]]


def figure_png(explanation: Explanation, record: Record) -> bytes:
    """What was asked for as one PNG, 1,794 pixels wide."""
    return draw(explanation, record).png()


def draw(explanation: Explanation, record: Record) -> Page:
    """Place what was asked for on a page.

    Several layers: their hierarchy. Occlusion: Figure 7, its (c) where there are projections. One
    layer alone: its projections.
    """
    blocks = _blocks(explanation)
    page = Page(sum(height for height, _ in blocks) + FOOTER)
    top = 0.0
    for height, place in blocks:
        place(page, top, explanation, record)
        top += height
    for line, text in enumerate(footer(explanation, record)):
        page.text(COLUMNS[0], top + 0.2 + 0.18 * line, text, SMALL, GREY)
    return page


def footer(explanation: Explanation, record: Record) -> list[str]:
    """What the figure was made with, how far Captum agrees, and what projections are evidence of."""
    parts = [legible(record.name), _accuracy(record), f"weights {record.weights_sha256[:8]}"]
    occlusion = explanation.occlusion
    if occlusion is not None:
        grid = occlusion.squares
        parts += [f"window {grid.window} px, stride {grid.stride} px, fill {occlusion.fill}", _precision(occlusion)]
    check = [_checked(explanation.crosscheck)] if explanation.crosscheck else []
    return [" · ".join(parts), *check, *([PROJECTION_NOTE] if explanation.deconv else [])]


def _accuracy(record: Record) -> str:
    if record.validation is None:
        return "accuracy not measured"
    return f"validation top-1 {100 * record.validation['top1']:.1f} %"


def _checked(check: CrossCheck) -> str:
    found = [
        f"{METHOD_NAMES[method]} {verdict(one.agrees, one.max_relative_difference)}"
        for method, one in check.agreements.items()
    ]
    return f"{check.library} {check.version}: {'; '.join(found)}"


def _precision(occlusion: Occlusion) -> str:
    if occlusion.max_deviation is None:
        return evaluation(occlusion.precision, None)
    apart = f"{occlusion.max_deviation:.1e}"
    if occlusion.log_odds_deviation is not None:
        apart += f" (log odds {occlusion.log_odds_deviation:.1e} nats)"
    return evaluation(occlusion.precision, apart)


def _blocks(explanation: Explanation) -> list[Block]:
    """What is drawn, top to bottom, and how high each is in inches."""
    layers = sorted(explanation.deconv or (), key=lambda part: -part.layer)
    blocks: list[Block] = []
    if len(layers) > 1:
        blocks.append((hierarchy_height(layers), partial(hierarchy, layers)))
    if explanation.occlusion is not None:
        blocks.append((figure7_height(explanation.occlusion), partial(figure7, explanation.occlusion, layers)))
    elif len(layers) == 1:
        blocks.append((one_layer_height(layers[0]), partial(one_layer, layers[0])))
    return blocks
