"""The PNG answer: Figure 7 of Zeiler & Fergus for one picture, and the hierarchy of its layers.

The hierarchy follows Figure 1.1 of Goodfellow, Bengio & Courville, "Deep Learning": pixels at the
bottom, each layer above the one it reads, the class on top.
"""

from collections.abc import Callable
from functools import partial

from ..explanation import CrossCheck, Explanation, LayerProjections, Occlusion
from ..methods.deconvnet import Feature
from ..net.checkpoint import Record
from .display import PROJECTION_NOTE, patch_pixels, projection_pixels
from .panels import (
    DETAIL,
    GREY,
    HEADING,
    PREDICTIONS,
    SIDE,
    SMALL,
    Page,
    Tile,
    draw_box,
    draw_classes,
    draw_map,
    draw_picture,
    draw_predictions,
    draw_tile,
    draw_tiles,
    short,
    with_square,
)

COLUMNS = 0.55, 5.4, 10.1  # left edges, inches
TOP = 0.8  # of a block's first picture, its heading above
SECOND_ROW = TOP + SIDE + 1.25
LAYERS_LEFT, PITCH = 4.85, 0.97  # of a row of projections
THIRD_ROW = 0.65 + PITCH  # one row of tiles, its heading above
TILES = 9
FOOTER = 0.7
LAYER_COLOURS = ("#f0e442", "#56b4e9", "#cc79a7", "#d55e00", "#009e73")

Block = tuple[float, Callable[[Page, float, Explanation, Record], None]]


def panel(explanation: Explanation, record: Record) -> bytes:
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
    parts = [record.name, f"weights {record.weights_sha256[:8]}"]
    if "top1" in record.validation:
        parts.insert(1, f"validation top-1 {100 * record.validation['top1']:.1f} %")
    occlusion = explanation.occlusion
    if occlusion is not None:
        grid = occlusion.squares
        parts += [f"window {grid.window} px, stride {grid.stride} px, fill {occlusion.fill}", _precision(occlusion)]
    check = [_checked(explanation.crosscheck)] if explanation.crosscheck else []
    return [" · ".join(parts), *check, *([PROJECTION_NOTE] if explanation.deconv else [])]


def _checked(check: CrossCheck) -> str:
    verdicts = {True: "agree", False: "DISAGREE", None: "in a reduced precision"}
    found = [
        f"{'projections' if method == 'deconv' else 'occlusion maps'} {verdicts[one.agrees]}, "
        f"largest difference {one.max_relative_difference:.1g} of the largest value"
        for method, one in check.agreements.items()
    ]
    return f"{check.library} {check.version}: {'; '.join(found)}"


def _precision(occlusion: Occlusion) -> str:
    if occlusion.max_deviation is None:
        return f"{occlusion.precision}, exact"
    return f"{occlusion.precision}, at most {occlusion.max_deviation:.1g} from float32 where compared"


def _blocks(explanation: Explanation) -> list[Block]:
    """What is drawn, top to bottom, and how high each is in inches."""
    layers = sorted(explanation.deconv or (), key=lambda part: -part.layer)
    blocks: list[Block] = []
    if len(layers) > 1:
        blocks.append((_hierarchy_height(layers), partial(_hierarchy, layers)))
    if explanation.occlusion is not None:
        blocks.append((SECOND_ROW + SIDE + 1.45, partial(_figure_7, explanation.occlusion, layers)))
    elif len(layers) == 1:
        height = SECOND_ROW + 2.35 + (THIRD_ROW if _others(layers[0]) else 0)
        blocks.append((height, partial(_one_layer, layers[0])))
    return blocks


def _figure_7(
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
    pixels, names = explanation.pixels, record.classes
    page.heading(
        COLUMNS[1],
        first,
        f"(b) Layer {occlusion.layer}, map {occlusion.feature}: summed activity",
        f"▸ unoccluded {occlusion.feature_unoccluded:.3g}",
    )
    draw_map(
        page,
        COLUMNS[1],
        first,
        pixels,
        occlusion,
        occlusion.feature_activity,
        occlusion.feature_unoccluded,
        "viridis",
        "sum over the map, activation units",
    )
    page.heading(
        COLUMNS[0],
        second,
        f"(d) Probability of {short(names[explanation.target.class_index].label)}",
        f"▸ unoccluded {occlusion.unoccluded:#.3g}, lowest ✕ {occlusion.target_probability.min():#.3g}, "
        f"highest ◯ {occlusion.target_probability.max():#.3g}",
    )
    draw_map(
        page,
        COLUMNS[0],
        second,
        pixels,
        occlusion,
        occlusion.target_probability,
        occlusion.unoccluded,
        "cividis",
        "softmax probability",
    )
    page.heading(COLUMNS[1], second, "(e) Most probable class", _flipped(occlusion))
    draw_classes(page, COLUMNS[1], second, pixels, occlusion, names)
    if layers:
        _strongest_map(layers[0], page, first, explanation)
    if len(layers) < 2:  # the hierarchy has them already
        _predictions(page, COLUMNS[2], second + 2.8 if layers else first, explanation, record)


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


def _predictions(page: Page, left: float, top: float, explanation: Explanation, record: Record) -> None:
    detail = _drawn(len(explanation.predictions), PREDICTIONS) or ", nothing covered"
    page.heading(left, top, "Predictions", f"softmax probability{detail}")
    draw_predictions(page, left, top, explanation.predictions, record.classes)


def _strongest_map(part: LayerProjections, page: Page, top: float, explanation: Explanation) -> None:
    """Figure 7 (c) in the third column: the strongest map, then the same in other pictures, or else the next maps."""
    strongest, *weaker = _by_activation(part)
    left, half = COLUMNS[2], SIDE / 2
    page.heading(left, top, *_projected("c", part, strongest))
    draw_tile(page, left, top, half - 0.08, _projection(strongest, "projection"))
    draw_tile(page, left + half, top, half - 0.08, _patch(strongest, explanation, "the picture there"))
    if others := _others(part):
        page.heading(left, top + half + 0.95, "The same map in other pictures", "the strongest first: activation")
        draw_tiles(page, left, top + half + 0.95, SIDE / 3, 3, others)
    elif weaker:
        page.heading(left, top + half + 0.95, _next(part), f"map: activation{_drawn(len(part.features), TILES)}")
        draw_tiles(page, left, top + half + 0.95, SIDE / 3, 3, [_projection(f, _name(f)) for f in weaker])


def _one_layer(part: LayerProjections, page: Page, top: float, explanation: Explanation, record: Record) -> None:
    """Input, the strongest map's projection and patch; predictions and the next maps; the same map in others."""
    strongest, *weaker = _by_activation(part)
    first, second = top + TOP, top + SECOND_ROW
    page.heading(COLUMNS[0], first, "(a) Input", f"the box is what (b) sees, {_side(strongest)} pixels")
    draw_box(draw_picture(page, COLUMNS[0], first, explanation.pixels), strongest.receptive_field, "white")
    page.heading(COLUMNS[1], first, *_projected("b", part, strongest))
    draw_tile(page, COLUMNS[1], first, SIDE, _projection(strongest, ""))
    page.heading(COLUMNS[2], first, "(c) The picture there", "what is in the box")
    draw_tile(page, COLUMNS[2], first, SIDE, _patch(strongest, explanation, ""))
    _predictions(page, COLUMNS[0], second, explanation, record)
    if weaker:
        detail = f"map: activation; what each saw below it{_drawn(len(part.features), TILES)}"
        page.heading(COLUMNS[1], second, _next(part), detail)
        _with_patches(weaker, page, COLUMNS[1], second, explanation)
    if others := _others(part):
        third = second + 2.8
        page.heading(COLUMNS[1], third, "The map of (b) in other pictures", "the strongest first: activation")
        draw_tiles(page, COLUMNS[1], third, (COLUMNS[2] + SIDE - COLUMNS[1]) / TILES, TILES, others)


def _hierarchy(
    layers: list[LayerProjections], page: Page, top: float, explanation: Explanation, record: Record
) -> None:
    """Pixels and class on the left, each layer's projections on the right, the deepest on top."""
    first, last = top + TOP, top + _hierarchy_height(layers) - 0.55
    _predictions(page, COLUMNS[0], first, explanation, record)
    page.heading(COLUMNS[0], last - SIDE, "Pixels", "each box is what a layer's strongest map sees")
    picture = draw_picture(page, COLUMNS[0], last - SIDE, explanation.pixels)
    page.arrow(COLUMNS[0] + SIDE + 0.3, last, first)
    page.heading(
        LAYERS_LEFT,
        first,
        "The strongest maps of each layer, projected to the pixels",
        "map: activation; mid-grey is zero, contrast is its own",
    )
    for i, part in enumerate(layers):
        colour = LAYER_COLOURS[(part.layer - 1) % len(LAYER_COLOURS)]
        draw_box(picture, _by_activation(part)[0].receptive_field, colour)
        _layer_row(part, colour, page, first + i * _row_height(layers), explanation, _roomy(layers))


def _hierarchy_height(layers: list[LayerProjections]) -> float:
    return TOP + max(len(layers) * _row_height(layers), 3.2 + SIDE) + 0.55


def _row_height(layers: list[LayerProjections]) -> float:
    return 0.45 + (PITCH + 0.2 + PITCH if _roomy(layers) else PITCH + 0.2)


def _roomy(layers: list[LayerProjections]) -> bool:
    """Whether layers are few enough for what each map saw to stand below its projection."""
    return len(layers) <= 3


def _layer_row(
    part: LayerProjections, colour: str, page: Page, top: float, explanation: Explanation, patches: bool
) -> None:
    """A layer's name and its projections, `patches` with what each saw below it."""
    features = _by_activation(part)
    page.text(LAYERS_LEFT, top + 0.22, "■", HEADING, colour)
    page.text(LAYERS_LEFT + 0.2, top + 0.22, f"Layer {part.layer}", HEADING)
    page.text(
        LAYERS_LEFT + 0.97,
        top + 0.22,
        f"{part.maps} maps of {part.size[0]}×{part.size[1]}; the strongest sees {_side(features[0])} pixels"
        f"{_drawn(len(part.features), TILES)}",
        DETAIL,
        GREY,
    )
    if patches:
        _with_patches(features, page, LAYERS_LEFT, top + 0.38, explanation)
    else:
        draw_tiles(page, LAYERS_LEFT, top + 0.38, PITCH, TILES, [_projection(f, _name(f)) for f in features])


def _with_patches(features: list[Feature], page: Page, left: float, top: float, explanation: Explanation) -> None:
    """A row of projections and, below, what each map saw."""
    tiles = [_projection(f, _name(f)) for f in features] + [_patch(f, explanation, "") for f in features]
    draw_tiles(page, left, top, PITCH, len(features), tiles)


def _projected(letter: str, part: LayerProjections, feature: Feature) -> tuple[str, str]:
    """A projection's title and detail."""
    return (
        f"({letter}) Projection of layer {part.layer}, map {feature.feature}",
        f"activation {feature.activation:.3g}; mid-grey is zero, contrast is its own",
    )


def _by_activation(part: LayerProjections) -> list[Feature]:
    """The strongest of the projected maps, as many as a figure shows."""
    return sorted(part.features, key=lambda f: (-f.activation, f.feature))[:TILES]


def _next(part: LayerProjections) -> str:
    """What the maps after the strongest are, which may have been named."""
    ranks = sorted(part.ranks.values())
    return "The next strongest maps" if ranks == list(range(1, len(ranks) + 1)) else "The other maps asked for"


def _drawn(asked: int, fit: int) -> str:
    """How many are drawn, where those are not all."""
    return f"; {fit} of {asked} drawn, all in json" if asked > fit else ""


def _others(part: LayerProjections) -> list[Tile]:
    """The projections of a layer's strongest map from other pictures; none without an atlas that has it."""
    strongest = _by_activation(part)[0].feature
    return [Tile(other.pixels, f"{other.activation:.3g}") for other in part.others.get(strongest, ())]


def _projection(feature: Feature, caption: str) -> Tile:
    return Tile(projection_pixels(feature.projection, feature.receptive_field), caption)


def _patch(feature: Feature, explanation: Explanation, caption: str) -> Tile:
    return Tile(patch_pixels(explanation.pixels, feature.receptive_field), caption)


def _name(feature: Feature) -> str:
    return f"{feature.feature}: {feature.activation:.3g}"


def _side(feature: Feature) -> str:
    box = feature.receptive_field
    return f"{box.bottom - box.top}×{box.right - box.left}"
