"""The projections of one layer, and the hierarchy of several.

The hierarchy follows Figure 1.1 of Goodfellow, Bengio & Courville, "Deep Learning": pixels at the
bottom, each layer above the one it reads, the class on top.
"""

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import to_hex

from ...explanation import Explanation, LayerProjections
from ...net.record import Record
from .common import (
    COLUMNS,
    PITCH,
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
    side,
    with_patches,
)
from .page import DETAIL, GREY, HEADING, SIDE, Page, draw_box, draw_picture, draw_tile, draw_tiles

LAYERS_LEFT = 4.85  # of a row of projections, inches
THIRD_ROW = 0.65 + PITCH  # one row of tiles, its heading above
LAYER_COLOURS = ("#f0e442", "#56b4e9", "#cc79a7", "#d55e00", "#009e73")


def one_layer_height(part: LayerProjections) -> float:
    return SECOND_ROW + 2.35 + (THIRD_ROW if others(part) else 0)


def one_layer(part: LayerProjections, page: Page, top: float, explanation: Explanation, record: Record) -> None:
    """Input, the strongest map's projection and patch; predictions and the next maps; the same map in others."""
    strongest, *weaker = by_activation(part)
    first, second = top + TOP, top + SECOND_ROW
    page.heading(COLUMNS[0], first, "(a) Input", f"the box is what (b) sees, {side(strongest)} pixels")
    draw_box(draw_picture(page, COLUMNS[0], first, explanation.pixels), strongest.receptive_field, "white")
    page.heading(COLUMNS[1], first, *projected("b", part, strongest))
    draw_tile(page, COLUMNS[1], first, SIDE, projection(strongest, ""))
    page.heading(COLUMNS[2], first, "(c) The picture there", "what is in the box")
    draw_tile(page, COLUMNS[2], first, SIDE, patch(strongest, explanation, ""))
    predictions(page, COLUMNS[0], second, explanation, record)
    if weaker:
        detail = f"map: activation; what each saw below it{left_out(len(part.features), TILES)}"
        page.heading(COLUMNS[1], second, next_maps(part), detail)
        with_patches(weaker, page, COLUMNS[1], second, explanation)
    if tiles := others(part):
        third = second + 2.8
        page.heading(COLUMNS[1], third, "The map of (b) in other pictures", "the strongest first: activation")
        draw_tiles(page, COLUMNS[1], third, (COLUMNS[2] + SIDE - COLUMNS[1]) / TILES, TILES, tiles)


def hierarchy(layers: list[LayerProjections], page: Page, top: float, explanation: Explanation, record: Record) -> None:
    """Pixels and class on the left, each layer's projections on the right, the deepest on top."""
    first, last = top + TOP, top + hierarchy_height(layers) - 0.55
    predictions(page, COLUMNS[0], first, explanation, record)
    page.heading(COLUMNS[0], last - SIDE, "Pixels", "each box is what a layer's strongest map sees")
    picture = draw_picture(page, COLUMNS[0], last - SIDE, explanation.pixels)
    page.arrow(COLUMNS[0] + SIDE + 0.3, last, first)
    page.heading(
        LAYERS_LEFT,
        first,
        "The strongest maps of each layer, projected to the pixels",
        "map: activation; mid-grey is zero, contrast is its own",
    )
    for i, (part, colour) in enumerate(zip(layers, _colours(layers), strict=True)):
        draw_box(picture, by_activation(part)[0].receptive_field, colour)
        _layer_row(part, colour, page, first + i * _row_height(layers), explanation, _roomy(layers))


def hierarchy_height(layers: list[LayerProjections]) -> float:
    return TOP + max(len(layers) * _row_height(layers), 3.2 + SIDE) + 0.55


def _colours(layers: list[LayerProjections]) -> list[str]:
    """One of its own for each layer: of a net's first five always the same, of deeper ones as many as are drawn."""
    if max(part.layer for part in layers) <= len(LAYER_COLOURS):
        return [LAYER_COLOURS[part.layer - 1] for part in layers]
    return [to_hex(colour) for colour in colormaps["turbo"](np.linspace(0.1, 0.95, len(layers)))]


def _row_height(layers: list[LayerProjections]) -> float:
    return 0.45 + (PITCH + 0.2 + PITCH if _roomy(layers) else PITCH + 0.2)


def _roomy(layers: list[LayerProjections]) -> bool:
    """Whether layers are few enough for what each map saw to stand below its projection."""
    return len(layers) <= 3


def _layer_row(
    part: LayerProjections, colour: str, page: Page, top: float, explanation: Explanation, patches: bool
) -> None:
    """A layer's name and its projections, `patches` with what each saw below it."""
    features = by_activation(part)
    page.text(LAYERS_LEFT, top + 0.22, "■", HEADING, colour)
    page.text(LAYERS_LEFT + 0.2, top + 0.22, f"Layer {part.layer}", HEADING)
    page.text(
        LAYERS_LEFT + 0.97,
        top + 0.22,
        f"{part.maps} maps of {part.size[0]}×{part.size[1]}; the strongest sees {side(features[0])} pixels"
        f"{left_out(len(part.features), TILES)}",
        DETAIL,
        GREY,
    )
    if patches:
        with_patches(features, page, LAYERS_LEFT, top + 0.38, explanation)
    else:
        draw_tiles(page, LAYERS_LEFT, top + 0.38, PITCH, TILES, [projection(f, caption(f)) for f in features])
