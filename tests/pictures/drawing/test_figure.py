"""The figure is drawn, without a warning, for everything that can be asked."""

import io
import re
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.colors import to_hex
from PIL import Image, ImageFilter

from tests.occlusions import by_hand
from tests.pictures.drawing.figures import at, boxes, captions, pictures, texts
from zfnet_explainer.explanation import (
    LayerProjections,
    Occlusion,
    Other,
    Prediction,
)
from zfnet_explainer.methods.squares import squares
from zfnet_explainer.net.geometry import Box
from zfnet_explainer.net.record import ClassName
from zfnet_explainer.pictures.drawing.common import COLUMNS, TOP
from zfnet_explainer.pictures.drawing.figure import FOOTER, draw, figure_png
from zfnet_explainer.pictures.drawing.page import Page, with_square

from .drawn import ACTIVITY, CLASSES, INPUT, PROBABILITY, RECORD, cells, drawn, explanation, occlusion, projections

GRIDS = [(32, 32), (17, 10), (50, 12), (224, 224), (112, 1)]


@pytest.mark.parametrize(("window", "stride"), GRIDS)
def test_occlusion_alone_is_drawn_at_any_window_and_stride(window: int, stride: int) -> None:
    """Its highest probability is at the first square, its lowest at the last."""
    found = occlusion(window, stride)
    page = drawn(None, found)
    assert 10 < page.height < 12.3
    assert boxes(at(page, *INPUT)) == [Box(224 - window, 224 - window, 224, 224)]
    [shown] = at(page, *INPUT).images
    assert (np.asarray(shown.get_array())[224 - window :, 224 - window :] == 128).all()
    maps = (ACTIVITY, found.feature_activity, 90), (PROBABILITY, found.target_probability, 0.85)
    for place, values, highest in (*maps, (CLASSES, found.most_probable_class, None)):
        ax = at(page, *place)
        assert np.array_equal(np.asarray(cells(ax).get_array()), values)
        grid = np.asarray(cells(ax).get_coordinates())
        for edges, starts in ((grid[0, :, 0], found.squares.lefts), (grid[:, 0, 1], found.squares.tops)):
            centres = np.array(starts) + window / 2
            assert (edges[:-1] < centres).all()
            assert (centres < edges[1:]).all()
        marks = {line.get_marker(): (line.get_xdata(), line.get_ydata()) for line in ax.lines}
        assert marks == {"o": ([window / 2],) * 2, "X": ([224 - window / 2],) * 2}
        if highest is not None:
            assert cells(ax).get_clim() == pytest.approx((0, highest))
    assert "(b) Layer 5, map 173: summed activity" in texts(page)
    assert "(d) Probability of class 0" in texts(page)
    assert "Predictions" in texts(page), "where the projections would be"
    assert at(page, COLUMNS[2], TOP).containers, "their bars"


def test_of_many_predictions_the_first_five_are_drawn_and_the_others_told() -> None:
    many = tuple(Prediction(i + 1, i, 0.05) for i in range(20))
    page = draw(replace(explanation(None, occlusion(112, 112)), predictions=many), RECORD)
    [bars] = at(page, COLUMNS[2], TOP).containers
    assert len(bars) == 5
    assert "probability; 5 of 20 drawn, all in json" in texts(page)


@pytest.mark.parametrize("count", [1, 2, 9, 12])
def test_one_layer_alone_is_drawn_for_any_number_of_maps(count: int) -> None:
    """Input, strongest map and what it saw are large, the next eight and what each of them saw small."""
    part = projections(4, count)
    page = drawn((part,), None)
    assert boxes(at(page, *INPUT)) == [part.features[0].receptive_field]
    for left in COLUMNS[1:]:
        [image] = at(page, left, TOP).images
        assert np.asarray(image.get_array()).shape == (107, 107, 3)
    shown = min(count, 9)
    assert captions(page) == [f"{i}: {count - 1 - i}" for i in range(1, shown)]
    assert len(pictures(page)) == 3 + 2 * (shown - 1)
    assert "(b) Projection of layer 4, map 0" in texts(page)
    assert ("The next strongest maps" in texts(page)) == (count > 1)
    left_out = "map: activation; what each saw below it; 9 of 12 drawn, all in json"
    assert [text for text in texts(page) if "drawn" in text] == ([left_out] if count == 12 else [])
    assert not [text for text in texts(page) if "in other pictures" in text]


@pytest.mark.parametrize(("layers", "count"), [((1, 5), 10), ((2, 3, 4), 2), ((1, 2, 3, 4, 5), 3)])
def test_the_hierarchy_has_the_deepest_layer_on_top(layers: tuple[int, ...], count: int) -> None:
    """What each map saw is shown where there is room, and the strongest one's box on the pixels."""
    parts, shown = tuple(projections(layer, count) for layer in layers), min(count, 9)
    page = drawn(parts, None)
    rows = [text for text in page.figure.texts if re.fullmatch(r"Layer \d", text.get_text())]
    assert [row.get_text() for row in rows] == [f"Layer {layer}" for layer in reversed(layers)]
    heights = [row.get_position()[1] for row in rows]
    assert heights == sorted(heights, reverse=True), "down the page"
    [pixels] = [ax for ax in pictures(page) if ax.patches]
    assert boxes(pixels) == [part.features[0].receptive_field for part in reversed(parts)]
    assert len({patch.get_edgecolor() for patch in pixels.patches}) == len(layers)
    assert captions(page) == [f"{i}: {count - 1 - i}" for _ in layers for i in range(shown)]
    assert len(pictures(page)) == 1 + len(layers) * shown * (2 if len(layers) < 4 else 1)
    details = [text for text in texts(page) if text.startswith("256 maps of 13×13; the strongest sees ")]
    assert len(details) == len(layers)
    assert [detail.endswith("; 9 of 10 drawn, all in json") for detail in details] == [count == 10] * len(layers)


def test_the_layers_of_a_deep_net_have_a_colour_each() -> None:
    for layers in (range(1, 14), (1, 6)):
        parts = tuple(replace(projections(1, 1), layer=layer) for layer in layers)
        page = draw(explanation(parts, None), RECORD)
        [pixels] = [ax for ax in pictures(page) if ax.patches]
        boxed = [to_hex(patch.get_edgecolor()) for patch in pixels.patches]
        assert boxed == [text.get_color() for text in page.figure.texts if text.get_text() == "■"]
        assert len(set(boxed)) == len(layers)


def test_the_hierarchy_stands_above_figure_7() -> None:
    parts, found = (projections(1, 2), projections(5, 2)), occlusion(50, 12)
    above, below, both = draw(explanation(parts, None), RECORD), drawn(parts[1:], found), drawn(parts, found)
    assert both.height == pytest.approx(above.height + below.height - FOOTER)
    hierarchy, figure_7 = texts(above)[:-2], [text for text in texts(below) if "redictions" not in text]
    expected = [text for text in figure_7 if not text.startswith("probability")]
    assert texts(both) == hierarchy + expected, "the predictions once"
    cells(at(both, CLASSES[0], above.height - FOOTER + CLASSES[1]))


def others(part: LayerProjections, feature: int, count: int = 9) -> LayerProjections:
    """The layer with a map's projections from other pictures, green tiles of several shapes."""
    tiles = [
        Other(np.full((96 - 9 * i, 50 + i, 3), (0, 200, 0), np.uint8), 9.5 - i, f"{i}.png", "n0") for i in range(count)
    ]
    return replace(part, others={feature: tuple(tiles)})


def green(page: Page) -> dict[str, tuple[int, ...]]:
    """The shapes of the tiles of the colour of `others`, by what stands below them."""
    tiles = [(ax.get_xlabel(), np.asarray(ax.images[0].get_array())) for ax in pictures(page)]
    return {caption: tile.shape for caption, tile in tiles if (tile == (0, 200, 0)).all()}


@pytest.mark.parametrize("found", [None, occlusion(112, 112)], ids=["one layer alone", "Figure 7"])
@pytest.mark.parametrize("count", [1, 9])
def test_the_strongest_map_is_shown_in_other_pictures(found: Occlusion | None, count: int) -> None:
    part = projections(5, 4)
    page = drawn((others(part, 0, count),), found)
    assert green(page) == {f"{9.5 - i}": (96 - 9 * i, 50 + i, 3) for i in range(count)}
    assert [text for text in texts(page) if "in other pictures" in text]


@pytest.mark.parametrize("found", [None, occlusion(112, 112)], ids=["one layer alone", "Figure 7"])
def test_a_weaker_map_is_not_shown_in_other_pictures(found: Occlusion | None) -> None:
    page = drawn((others(projections(5, 2), 1),), found)
    assert green(page) == {}
    assert not [text for text in texts(page) if "in other pictures" in text]
    assert "The next strongest maps" in texts(page)


def test_figure_7_with_projections_and_twenty_classes_is_drawn() -> None:
    page = drawn((projections(5),), occlusion(17, 10, classes=20))
    key = at(page, *CLASSES).get_legend()
    assert key is not None
    assert [text.get_text().partition(" (")[0] for text in key.get_texts()] == [
        *(f"class {i}" for i in range(7)),
        "13 other classes",
    ]
    assert cells(at(page, *CLASSES)).get_clim() == (-0.5, 7.5), "a colour each"
    assert "(c) Projection of layer 5, map 0" in texts(page)
    assert captions(page) == ["projection", "the picture there", *(f"{i}: {8 - i}" for i in range(1, 9))]


def test_maps_of_zeros_and_names_with_dollars_and_underscores_are_drawn() -> None:
    grid = squares(224, 224, 50, 50)
    zeros = np.zeros((len(grid.tops), len(grid.lefts)), np.float32)
    nothing = replace(by_hand(grid, zeros, zeros.astype(int) + 1, 0.0, 1), feature_unoccluded=0.0)
    names = tuple(ClassName("x", f"_$\\frac{i}$ a very long name of a class") for i in range(20))
    page = drawn(None, nothing, replace(RECORD, name="a$b$_c", classes=names))
    assert "(d) Probability of _$\\frac0$ a very long n…" in texts(page)
    assert texts(page)[-1].startswith("a$b$_c · ")
    key = at(page, *CLASSES).get_legend()
    assert key is not None
    written = [*page.figure.texts, *key.get_texts()]
    assert not [text for text in written if "$" in text.get_text() and text.get_parse_math()]
    assert cells(at(page, *PROBABILITY)).get_clim() == (0, 1)


def test_the_same_explanation_gives_the_same_bytes_without_date_or_program() -> None:
    picture = explanation((projections(2, 2),), occlusion(112, 112))
    png = figure_png(picture, RECORD)
    assert png == figure_png(picture, RECORD)
    image = Image.open(io.BytesIO(png))
    image.load()
    assert (image.format, image.width) == ("PNG", 1794)
    assert set(image.info) <= {"dpi"}


def test_worst_and_best_square_have_the_lowest_and_highest_probability_the_first_in_reading_order() -> None:
    found = occlusion(50, 12)
    probability = np.full(found.flipped.shape, 0.5, np.float32)
    probability[3, -1] = probability[7, 2] = 0.25
    probability[1, 4] = probability[5, 0] = 0.75
    changed = by_hand(found.squares, probability, np.zeros(probability.shape, np.int64), 0.5, 0)
    assert changed.box(changed.worst) == Box(36, 174, 86, 224)
    assert changed.box(changed.best) == Box(12, 48, 62, 98)


@pytest.mark.parametrize(
    ("fill", "colour"),
    [("gray", [128, 128, 128]), ("white", [255, 255, 255]), ("mean", [128, 64, 0]), ("#12ab9f", [18, 171, 159])],
)
def test_the_input_shows_the_fill_in_the_square_and_nowhere_else(fill: str, colour: list[int]) -> None:
    pixels = np.full((224, 224, 3), 7, np.uint8)
    covered = with_square(pixels, occlusion(50, 12, fill=fill), Box(36, 174, 86, 224), (0.5, 0.25, 0.0))
    inside = np.zeros((224, 224), bool)
    inside[36:86, 174:224] = True
    assert (covered[inside] == colour).all()
    assert (covered[~inside] == 7).all()
    assert (pixels == 7).all()


def test_a_blurred_square_shows_the_blurred_picture() -> None:
    pixels = explanation(None, None).pixels
    covered = with_square(pixels, occlusion(50, 12, fill="blur"), Box(36, 174, 86, 224), (0.5, 0.5, 0.5))
    blurred = np.asarray(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(12.5)))
    assert (covered[36:86, 174:224] == blurred[36:86, 174:224]).all()
