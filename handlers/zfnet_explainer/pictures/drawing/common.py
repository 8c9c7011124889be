"""What Figure 7 and the projections have in common: their columns, headings and tiles."""

from ...explanation import Explanation, LayerProjections
from ...messages import number
from ...methods.deconvnet import Feature
from ...net.record import Record
from ..display import patch_pixels, projection_pixels
from .page import PREDICTIONS, SIDE, Page, Tile, draw_predictions, draw_tiles

COLUMNS = 0.55, 5.4, 10.1  # left edges, inches
TOP = 0.8  # of a block's first picture, its heading above
SECOND_ROW = TOP + SIDE + 1.25
PITCH = 0.97  # of a row of projections
TILES = 9


def predictions(page: Page, left: float, top: float, explanation: Explanation, record: Record) -> None:
    detail = left_out(len(explanation.predictions), PREDICTIONS) or ", nothing covered"
    page.heading(left, top, "Predictions", f"probability{detail}")
    draw_predictions(page, left, top, explanation.predictions, record.classes)


def with_patches(features: list[Feature], page: Page, left: float, top: float, explanation: Explanation) -> None:
    """A row of projections and, below, what each map saw."""
    tiles = [projection(f, caption(f)) for f in features] + [patch(f, explanation, "") for f in features]
    draw_tiles(page, left, top, PITCH, len(features), tiles)


def projected(letter: str, part: LayerProjections, feature: Feature) -> tuple[str, str]:
    """A projection's title and detail."""
    return (
        f"({letter}) Projection of layer {part.layer}, map {feature.feature}",
        f"activation {number(feature.activation)}; mid-grey is zero, contrast is its own",
    )


def by_activation(part: LayerProjections) -> list[Feature]:
    """The strongest of the projected maps, as many as a figure shows."""
    return sorted(part.features, key=lambda f: (-f.activation, f.feature))[:TILES]


def were_named(part: LayerProjections) -> bool:
    """Whether the maps are others than the strongest, as they were asked for by their numbers."""
    ranks = sorted(part.ranks.values())
    return ranks != list(range(1, len(ranks) + 1))


def next_maps(part: LayerProjections) -> str:
    """What the maps after the strongest are."""
    return "The other maps asked for" if were_named(part) else "The next strongest maps"


def left_out(asked: int, fit: int) -> str:
    """How many are drawn, where those are not all."""
    return f"; {fit} of {asked} drawn, all in json" if asked > fit else ""


def others(part: LayerProjections) -> list[Tile]:
    """The projections of a layer's strongest map from other pictures; none without an atlas that has it."""
    strongest = by_activation(part)[0].feature
    return [Tile(other.pixels, number(other.activation)) for other in part.others.get(strongest, ())]


def projection(feature: Feature, caption: str) -> Tile:
    return Tile(projection_pixels(feature.projection, feature.receptive_field), caption)


def patch(feature: Feature, explanation: Explanation, caption: str) -> Tile:
    return Tile(patch_pixels(explanation.pixels, feature.receptive_field), caption)


def caption(feature: Feature) -> str:
    return f"{feature.feature}: {number(feature.activation)}"


def side(feature: Feature) -> str:
    box = feature.receptive_field
    return f"{box.height}×{box.width}"
