"""The figure is drawn, without a warning, for everything that can be asked; what it says is checked as text."""

import io
import re
from dataclasses import replace
from functools import cache
from itertools import combinations

import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.colors import to_hex
from PIL import Image, ImageFilter

from tests.occlusions import by_hand
from tests.pictures.drawing.figures import at, boxes, captions, pictures, texts
from zfnet_explainer.explanation import (
    Agreement,
    CrossCheck,
    Explanation,
    FloatArray,
    LayerProjections,
    Occlusion,
    Other,
    Prediction,
)
from zfnet_explainer.methods.deconvnet import Feature
from zfnet_explainer.methods.squares import squares
from zfnet_explainer.net.geometry import Box
from zfnet_explainer.net.record import ClassName, Preprocessing, Record
from zfnet_explainer.pictures.display import CLASS_COLOURS, PROJECTION_NOTE, legend
from zfnet_explainer.pictures.drawing.figure import FOOTER, draw, footer, panel
from zfnet_explainer.pictures.drawing.figure7 import CONTRAST_ROW
from zfnet_explainer.pictures.drawing.maps import legend_labels
from zfnet_explainer.pictures.drawing.panels import SIDE, Page, with_square
from zfnet_explainer.pictures.drawing.parts import COLUMNS, SECOND_ROW, TOP
from zfnet_explainer.pictures.drawing.text import label, share

NAMES = tuple(ClassName(f"n{i:08d}", f"class {i}") for i in range(20))
RECORD = Record(
    "zfnet-tiny",
    "zfnet",
    NAMES,
    Preprocessing(224, (0.5, 0.25, 0.0), (1.0, 1.0, 1.0)),
    {},
    {"top1": 0.7421, "images": 10},
    "Apache-2.0",
    "0123456789abcdef" * 4,
)
INPUT, ACTIVITY = (COLUMNS[0], TOP), (COLUMNS[1], TOP)
PROBABILITY, CLASSES = (COLUMNS[0], SECOND_ROW), (COLUMNS[1], SECOND_ROW)
GRIDS = [(32, 32), (17, 10), (50, 12), (224, 224), (112, 1)]


@cache
def projections(layer: int, count: int = 9) -> LayerProjections:
    """Random maps of a layer; the last one is dead and its box is cut at the border."""
    generator = torch.Generator().manual_seed(layer)
    side = (7, 27, 75, 107, 139)[layer - 1]
    features = [
        Feature(
            i,
            float(count - 1 - i),
            (i, i),
            Box(i, 2 * i, min(224, i + side), min(224, 2 * i + side)),
            torch.randn(3, 224, 224, generator=generator) * (i < count - 1),
        )
        for i in range(count)
    ]
    return LayerProjections(layer, 256, (13, 13), tuple(features), {i: i + 1 for i in range(count)}, {})


def occlusion(window: int, stride: int, classes: int = 3, fill: str = "gray") -> Occlusion:
    """Hand-made maps in which `classes` classes occur (as far as there are squares)."""
    grid = squares(224, 224, window, stride)
    shape = len(grid.tops), len(grid.lefts)
    probability = np.linspace(0.45, 0.1, len(grid), dtype=np.float32).reshape(shape)
    most_probable = (np.arange(len(grid)) % classes).reshape(shape)
    return replace(by_hand(grid, probability, most_probable, 0.85, 0), fill=fill)


def explanation(deconv: tuple[LayerProjections, ...] | None, found: Occlusion | None) -> Explanation:
    pixels = np.random.default_rng(0).integers(0, 256, (224, 224, 3), np.uint8)
    probabilities: FloatArray = np.full(20, 0.05, np.float32)
    ranked = tuple(Prediction(i + 1, i, 0.05) for i in range(5))
    return Explanation(pixels, probabilities, ranked, ranked[0], deconv, found, None, {})


def drawn(deconv: tuple[LayerProjections, ...] | None, found: Occlusion | None, record: Record = RECORD) -> Page:
    """The figure, laid out to the last letter without a warning, each picture and map where no other is."""
    page = draw(explanation(deconv, found), record)
    page.figure.draw_without_rendering()
    places = [ax.get_position() for ax in page.figure.axes]
    assert all(place.x0 >= 0 and place.x1 <= 1 and place.y0 >= 0 and place.y1 <= 1 for place in places)
    assert not [pair for pair in combinations(places, 2) if pair[0].overlaps(pair[1])]
    return page


def cells(ax: Axes) -> QuadMesh:
    """A map's cells."""
    [mesh] = ax.collections
    assert isinstance(mesh, QuadMesh)
    return mesh


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
    png = panel(picture, RECORD)
    assert png == panel(picture, RECORD)
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


def test_a_prediction_under_no_square_has_its_place_in_the_legend() -> None:
    grid = squares(224, 224, 112, 112)
    elsewhere = by_hand(grid, np.full((2, 2), 0.1, np.float32), np.full((2, 2), 5), 0.85, 0)
    ax = at(drawn(None, elsewhere), *CLASSES)
    key = ax.get_legend()
    assert key is not None
    assert [text.get_text() for text in key.get_texts()] == ["class 0 (0)", "class 5 (4)"]
    shown = cells(ax)
    assert {shown.to_rgba(value)[:3] for value in np.asarray(shown.get_array()).ravel()} == {
        tuple(channel / 255 for channel in CLASS_COLOURS[1])
    }


def test_a_probability_has_no_exponent_and_only_nothing_and_all_are_told_as_that() -> None:
    assert [share(p) for p in (0.0, 1e-30, 0.00099, 0.001, 0.05, 0.9994, 0.9996, 1.0)] == [
        "0.00", "<0.001", "<0.001", "0.00100", "0.0500", "0.999", ">0.999", "1.00",
    ]  # fmt: skip
    grid = squares(224, 224, 112, 112)
    sure = by_hand(grid, np.full((2, 2), 0.9996, np.float32), np.zeros((2, 2), int), 0.9999, 0)
    assert "▸ unoccluded >0.999, lowest ✕ >0.999, highest ◯ >0.999" in texts(drawn(None, sure))


def test_activations_have_three_digits_and_no_exponent() -> None:
    part = projections(5, 3)
    strong = [replace(f, activation=a) for f, a in zip(part.features, (1234.5, 0.0123456, 40.0), strict=True)]
    found = replace(occlusion(112, 112), feature_unoccluded=1_234_567.0)
    elsewhere = Other(np.zeros((9, 9, 3), np.uint8), 98_765.0, "a.png", "n0")
    page = drawn((replace(part, features=tuple(strong)),), found)
    assert "▸ unoccluded 1,230,000" in texts(page)
    assert "activation 1,230; mid-grey is zero, contrast is its own" in texts(page)
    assert captions(page)[2:] == ["2: 40", "1: 0.0123"]
    others_too = drawn((replace(part, features=tuple(strong), others={0: (elsewhere,)}),), found)
    assert captions(others_too)[2:] == ["98,800"]


def test_the_legend_names_the_classes_that_occur_with_their_squares() -> None:
    entries = legend([(13, 3), (2, 2), (5, 1)])
    assert legend_labels(entries, NAMES) == ["class 13 (3)", "class 2 (2)", "class 5 (1)"]


def test_the_legend_of_many_classes_ends_with_the_others() -> None:
    entries = legend([(i, 2 if i < 7 else 1) for i in range(20)])
    assert legend_labels(entries, NAMES) == [*(f"class {i} (2)" for i in range(7)), "13 other classes (13)"]


def test_a_long_label_is_cut() -> None:
    names = (ClassName("n", "West Highland white terrier"),)
    assert legend_labels(legend([(0, 1600)]), names) == ["West Highland white ter… (1,600)"]


def test_labels_that_are_cut_are_told_apart_by_their_ends_or_else_by_their_numbers() -> None:
    labels = (
        *("weld_surface_left_side_crack", "weld_surface_left_side_pore", "weld_surface_right_side_pore"),
        *("weld_surface_under_a_very_long_name_1_of_the_plates", "weld_surface_under_a_very_long_name_2_of_the_plates"),
        *("猫猫猫猫犬犬犬犬", "猫猫猫猫鳥鳥鳥鳥", "pore"),
    )
    names = tuple(ClassName(name, name) for name in labels)
    assert [label(names, i) for i in range(8)] == [
        *("weld_surfac…t_side_crack", "weld_surfac…ft_side_pore", "weld_surface_right_side…"),
        *("weld_surface_under_a… #3", "weld_surface_under_a… #4"),
        *("U+732BU+732…U+72ACU+72AC", "U+732BU+732…U+9CE5U+9CE5", "pore"),
    ]
    assert label(names, 0, 17) == "weld_sur…de_crack"
    assert len({label(names, i, 17) for i in range(8)}) == 8


def test_a_label_from_right_to_left_is_written_where_matplotlib_can(monkeypatch: pytest.MonkeyPatch) -> None:
    names = (ClassName("n0", "כלב"), ClassName("n1", "كلب"), ClassName("n2", "pore"))
    for laid_out, told in ((True, ["כלב", "كلب", "pore"]), (False, ["n0", "n1", "pore"])):
        monkeypatch.setattr("zfnet_explainer.pictures.drawing.text.LAID_OUT", laid_out)
        # A length of its own: labels are kept.
        assert [label(names, i, 20 + laid_out) for i in range(3)] == told


def test_the_footer_says_what_the_figure_was_made_with() -> None:
    found = occlusion(17, 10, fill="blur")
    made, note = footer(explanation((projections(5, 1),), found), RECORD)
    assert made == (
        "zfnet-tiny · validation top-1 74.2 % · weights 01234567 · "
        "window 17 px, stride 10 px, fill blur · float32, exact"
    )
    assert note == PROJECTION_NOTE


def test_the_footer_says_whether_captum_agrees() -> None:
    check = CrossCheck("captum", "0.9.0", Agreement(5.6e-7), Agreement(0.25), {}, {})
    checked = replace(explanation((projections(5, 1),), occlusion(17, 10)), crosscheck=check)
    _, said, _ = footer(checked, RECORD)
    assert said == (
        "captum 0.9.0: projections agree, largest difference 6e-07 of the largest value; "
        "occlusion maps DISAGREE, largest difference 0.2 of the largest value"
    )
    assert said in texts(draw(checked, RECORD))


def test_nothing_alike_is_a_fault_in_any_precision() -> None:
    assert [Agreement(apart, must_agree=False).agrees for apart in (0.3, 1.0, 3e38)] == [None, False, False]


def test_the_footer_does_not_blame_a_reduced_precision() -> None:
    check = CrossCheck("captum", "0.9.0", None, Agreement(0.012, must_agree=False), {}, {})
    reduced = replace(occlusion(17, 10), precision="bfloat16", max_deviation=0.004)
    _, said = footer(replace(explanation(None, reduced), crosscheck=check), RECORD)
    assert said == ("captum 0.9.0: occlusion maps in a reduced precision, largest difference 0.01 of the largest value")


def test_small_probabilities_keep_their_digits_and_the_highest_is_told() -> None:
    found = occlusion(112, 112)
    probability = np.array([[0.00941, 0.00712], [0.3333, 0.0094]], np.float32)
    found = by_hand(found.squares, probability, np.ones((2, 2), np.int64), 0.009449, 1)
    page = draw(explanation(None, found), RECORD)
    assert "▸ unoccluded 0.00945, lowest ✕ 0.00712, highest ◯ 0.333" in texts(page)


@pytest.mark.parametrize("found", [None, occlusion(112, 112)], ids=["one layer alone", "Figure 7"])
def test_maps_that_were_named_are_not_called_the_strongest(found: Occlusion | None) -> None:
    part = replace(projections(5, 3), ranks={0: 1, 1: 4, 2: 9})
    said = texts(draw(explanation((part,), found), RECORD))
    assert "The next strongest maps" not in said
    assert "The other maps asked for" in said


def test_the_footer_of_reduced_precision_says_how_far_it_is_off() -> None:
    found = replace(occlusion(32, 32), precision="bfloat16", max_deviation=0.00312)
    [made] = footer(explanation(None, found), RECORD)
    assert made.endswith("bfloat16, at most 0.003 from float32 where compared")
    [made] = footer(explanation(None, replace(found, contrast_class=1, log_odds_deviation=0.0213)), RECORD)
    assert made.endswith("bfloat16, at most 0.003 (log odds 0.02 nats) from float32 where compared")


def contrasted(window: int, stride: int, lowest: float = -3, highest: float = 1) -> Occlusion:
    """The target against another class, whose log odds go from highest at the first square to lowest at the last.

    Unoccluded they are 0.5.
    """
    found = occlusion(window, stride)
    rows, cols = found.flipped.shape
    shift = np.linspace(highest, lowest, rows * cols, dtype=np.float32).reshape(rows, cols)
    logits, clean = np.full((rows, cols, 20), -9, np.float32), np.full(20, -9, np.float32)
    logits[..., 0], logits[..., 1], clean[0], clean[1] = shift, 0, 0.5, 0
    return replace(found, logits=logits, logits_unoccluded=clean, contrast_class=1)


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


def test_headings_of_long_labels_leave_each_other_room() -> None:
    names = tuple(ClassName("x", f"{i} West Highland white terrier") for i in range(20))
    page = drawn((projections(5),), contrasted(50, 50), replace(RECORD, classes=names))
    written = [text.get_window_extent() for text in page.figure.texts]
    assert not [pair for pair in combinations(written, 2) if pair[0].overlaps(pair[1])]
    assert max(box.x1 for box in written) <= page.figure.bbox.x1


def test_without_a_contrast_there_is_no_f() -> None:
    page = drawn(None, occlusion(112, 112))
    assert not [text for text in texts(page) if text.startswith("(f)")]
    assert page.height < drawn(None, contrasted(112, 112)).height - SIDE, "nor room for it"


def test_a_contrast_from_which_no_square_takes_says_so() -> None:
    found = contrasted(112, 112)
    given = replace(found, logits=found.logits[:1, :1], squares=squares(112, 112, 112, 112))
    page = draw(explanation(None, given), RECORD)
    assert "no square takes from class 0" in texts(page)


@pytest.mark.filterwarnings("error:Glyph")
def test_labels_in_any_script_are_drawn_and_where_the_font_has_no_glyphs_the_synset() -> None:
    labels = ("秋田犬", "كلب صيد", "犬 🐕", "café crème", "собака")
    names = (*(ClassName(f"n{i}", label) for i, label in enumerate(labels)), *NAMES[5:])
    page = drawn(None, contrasted(112, 112), replace(RECORD, classes=names))
    shown = [text.get_text() for text in at(page, COLUMNS[2], TOP).texts]
    assert shown[::2] == ["n0", "كلب صيد", "n2", "café crème", "собака"]
    assert "(d) Probability of n0" in texts(page)
    assert "(f) Log odds: n0 against كلب صيد" in texts(page)


@pytest.mark.filterwarnings("error:Glyph")
def test_what_no_glyph_is_there_for_is_drawn_as_its_number() -> None:
    names = (ClassName("猫", "猫"), *NAMES[1:])
    page = drawn(None, occlusion(112, 112), replace(RECORD, classes=names, name="猫-zfnet"))
    assert "(d) Probability of U+732B" in texts(page)
    assert texts(page)[-1].startswith("U+732B-zfnet · ")


def test_an_accuracy_that_nobody_measured_is_said_to_be_that() -> None:
    [made] = footer(explanation(None, occlusion(112, 112)), replace(RECORD, validation=None))
    assert made.startswith("zfnet-tiny · accuracy not measured · weights 01234567 · ")


def test_two_classes_of_one_label_are_told_apart_by_their_synsets() -> None:
    alike = ClassName("n02012849", "crane"), ClassName("n03126707", "crane")
    page = drawn(None, occlusion(112, 112), replace(RECORD, classes=(*alike, *NAMES[2:])))
    written = " ".join(texts(page))
    assert "crane" not in written
    assert "n02012849" in written
