"""Figure 7 of Zeiler & Fergus for one picture, with (f) where the target was contrasted with another class."""

from ...explanation import Contrast, Explanation, LayerProjections, Occlusion
from ...messages import number
from ...net.record import Record
from .common import (
    COLUMNS,
    SECOND_ROW,
    TILES,
    TOP,
    by_activation,
    caption,
    left_out,
    next_maps,
    others,
    patch,
    predictions,
    projected,
    projection,
    were_named,
)
from .maps import Quantity, draw_classes, draw_map
from .page import SIDE, Page, draw_box, draw_picture, draw_tile, draw_tiles, with_square
from .text import label, share

CONTRAST_ROW = SECOND_ROW + SIDE + 1.9  # below the legend of (e)


def figure7_height(occlusion: Occlusion) -> float:
    return SECOND_ROW + SIDE + 1.45 if occlusion.contrast is None else CONTRAST_ROW + SIDE + 0.65


def figure7(
    occlusion: Occlusion,
    layers: list[LayerProjections],
    page: Page,
    top: float,
    explanation: Explanation,
    record: Record,
) -> None:
    """Input, activity, probability and class maps in two rows, projections (or predictions) beside them."""
    first, second = top + TOP, top + SECOND_ROW
    _input_with_square(occlusion, page, first, explanation, record)
    _activity(occlusion, page, first, explanation)
    _probability(occlusion, page, second, explanation, record)
    page.heading(COLUMNS[1], second, "(e) Most probable class", _flipped(occlusion))
    draw_classes(page, COLUMNS[1], second, explanation.pixels, occlusion, record.classes)
    if layers:
        _strongest_map(layers[0], page, first, explanation)
    if len(layers) < 2:  # the hierarchy has them already
        predictions(page, COLUMNS[2], second + 2.8 if layers else first, explanation, record)
    if occlusion.contrast is not None:
        _contrast(occlusion, occlusion.contrast, page, top + CONTRAST_ROW, explanation, record)


def _activity(occlusion: Occlusion, page: Page, top: float, explanation: Explanation) -> None:
    title = f"(b) Layer {occlusion.layer}, map {occlusion.feature}: summed activity"
    page.heading(COLUMNS[1], top, title, f"▸ unoccluded {number(occlusion.feature_unoccluded)}")
    shown = Quantity.from_zero(
        occlusion.feature_activity,
        occlusion.feature_unoccluded,
        "viridis",
        "sum over the map, activation units",
    )
    draw_map(page, COLUMNS[1], top, explanation.pixels, occlusion, shown)


def _probability(occlusion: Occlusion, page: Page, top: float, explanation: Explanation, record: Record) -> None:
    page.heading(
        COLUMNS[0],
        top,
        f"(d) Probability of {label(record.classes, explanation.target.class_index)}",
        f"▸ unoccluded {share(occlusion.unoccluded)}, lowest ✕ {share(occlusion.target_probability.min())}, "
        f"highest ◯ {share(occlusion.target_probability.max())}",
    )
    shown = Quantity.from_zero(occlusion.target_probability, occlusion.unoccluded, "cividis", "probability")
    draw_map(page, COLUMNS[0], top, explanation.pixels, occlusion, shown)


def _contrast(
    occlusion: Occlusion, contrast: Contrast, page: Page, top: float, explanation: Explanation, record: Record
) -> None:
    """Why the target and not the other class: (f), and the picture with the square that takes most."""
    target, other = (label(record.classes, i, 17) for i in (explanation.target.class_index, contrast.class_index))
    lowest = float(contrast.log_odds[contrast.worst])
    detail = f"▸ unoccluded {contrast.unoccluded:z.2f} nats, lowest ✕ {lowest:z.2f}"
    page.heading(COLUMNS[0], top, f"(f) Log odds: {target} against {other}", detail)
    shown = Quantity.around(contrast.log_odds, contrast.unoccluded, "RdBu", "log p(target) - log p(other), nats")
    draw_map(page, COLUMNS[0], top, explanation.pixels, occlusion, shown, {"X": contrast.worst})
    box = occlusion.box(contrast.worst)
    taken = f"{max(0.0, contrast.unoccluded - lowest):.2f}"
    did = f"it takes {taken} nats from {target}" if float(taken) else f"no square takes from {target}"
    page.heading(COLUMNS[1], top, "The square where (f) is lowest", did)
    covered = with_square(explanation.pixels, occlusion, box, record.preprocessing.mean)
    draw_box(draw_picture(page, COLUMNS[1], top, covered), box, "white")


def _input_with_square(occlusion: Occlusion, page: Page, top: float, explanation: Explanation, record: Record) -> None:
    box = occlusion.box(occlusion.worst)
    page.heading(
        COLUMNS[0],
        top,
        "(a) Input, the square at its worst position",
        "where (d) is lowest: ✕ in (b), (d), (e); highest: ◯",
    )
    covered = with_square(explanation.pixels, occlusion, box, record.preprocessing.mean)
    draw_box(draw_picture(page, COLUMNS[0], top, covered), box, "white")


def _flipped(occlusion: Occlusion) -> str:
    """How often the most probable class is another than with nothing covered."""
    return f"not the prediction at {occlusion.flipped.sum():,} of {occlusion.flipped.size:,} squares"


def _strongest_map(part: LayerProjections, page: Page, top: float, explanation: Explanation) -> None:
    """Figure 7 (c) in the third column: the strongest map, then the same in other pictures, or else the next maps."""
    strongest, *weaker = by_activation(part)
    left, half = COLUMNS[2], SIDE / 2
    page.heading(left, top, *projected("c", part, strongest))
    draw_tile(page, left, top, half - 0.08, projection(strongest, "projection"))
    draw_tile(page, left + half, top, half - 0.08, patch(strongest, explanation, "the picture there"))
    if elsewhere := others(part):
        hidden = weaker and were_named(part)
        detail = "activation; others=0 draws the other maps asked for" if hidden else "the strongest first: activation"
        page.heading(left, top + half + 0.95, "The same map in other pictures", detail)
        draw_tiles(page, left, top + half + 0.95, SIDE / 3, 3, elsewhere)
    elif weaker:
        page.heading(left, top + half + 0.95, next_maps(part), f"map: activation{left_out(len(part.features), TILES)}")
        draw_tiles(page, left, top + half + 0.95, SIDE / 3, 3, [projection(f, caption(f)) for f in weaker])
