"""The figure is drawn, without a warning, for everything that can be asked; what it says is checked as text."""

import io
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter

from zfnet_explainer.atlas import Other
from zfnet_explainer.explanation import (
    Agreement,
    CrossCheck,
    Explanation,
    FloatArray,
    LayerProjections,
    Occlusion,
    Prediction,
)
from zfnet_explainer.methods.deconvnet import Feature
from zfnet_explainer.methods.squares import squares
from zfnet_explainer.net.checkpoint import ClassName, Preprocessing, Record
from zfnet_explainer.net.geometry import Box
from zfnet_explainer.wire.display import PROJECTION_NOTE, legend
from zfnet_explainer.wire.figure import footer, panel
from zfnet_explainer.wire.panels import Page, legend_labels, with_square

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
GRIDS = [(32, 32), (17, 10), (50, 12), (224, 224), (112, 1)]


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
    probability = np.linspace(0.9, 0.1, len(grid), dtype=np.float32).reshape(shape)
    most_probable = (np.arange(len(grid)) % classes).reshape(shape)
    return Occlusion(grid, fill, 5, 173, 90.0, 100 * probability, probability, 0.85, most_probable, 0, "float32", None)


def explanation(deconv: tuple[LayerProjections, ...] | None, found: Occlusion | None) -> Explanation:
    pixels = np.random.default_rng(0).integers(0, 256, (224, 224, 3), np.uint8)
    probabilities: FloatArray = np.full(20, 0.05, np.float32)
    ranked = tuple(Prediction(i + 1, i, 0.05) for i in range(5))
    return Explanation(pixels, probabilities, ranked, ranked[0], deconv, found, None, {})


def size(png: bytes) -> tuple[int, int]:
    """Width and height of a picture that decodes to the end."""
    image = Image.open(io.BytesIO(png))
    image.load()
    assert image.format == "PNG"
    return image.size


@pytest.mark.parametrize(("window", "stride"), GRIDS)
def test_occlusion_alone_is_drawn_at_any_window_and_stride(window: int, stride: int) -> None:
    width, height = size(panel(explanation(None, occlusion(window, stride)), RECORD))
    assert width == 1794
    assert 1300 < height < 1600


@pytest.mark.parametrize("count", [1, 2, 9, 12])
def test_one_layer_alone_is_drawn_for_any_number_of_maps(count: int) -> None:
    assert size(panel(explanation((projections(4, count),), None), RECORD))[0] == 1794


@pytest.mark.parametrize("layers", [(1, 5), (2, 3, 4), (1, 2, 3, 4, 5)])
def test_the_hierarchy_stands_above_figure_7(layers: tuple[int, ...]) -> None:
    deconv = tuple(projections(layer) for layer in layers)
    alone = size(panel(explanation(deconv, None), RECORD))
    both = size(panel(explanation(deconv, occlusion(50, 12)), RECORD))
    assert alone[0] == both[0] == 1794
    assert both[1] > alone[1] + 1200


def others(part: LayerProjections, feature: int, count: int = 9) -> LayerProjections:
    """The layer with a map's projections from other pictures, green tiles of several shapes."""
    tiles = [
        Other(np.full((96 - 9 * i, 50 + i, 3), (0, 200, 0), np.uint8), 9.5 - i, f"{i}.png", "n0") for i in range(count)
    ]
    return replace(part, others={feature: tuple(tiles)})


def green(png: bytes) -> int:
    """How many pixels are of the colour of `others`."""
    return int((np.asarray(Image.open(io.BytesIO(png)).convert("RGB")) == (0, 200, 0)).all(2).sum())


@pytest.mark.parametrize("found", [None, occlusion(112, 112)], ids=["one layer alone", "Figure 7"])
@pytest.mark.parametrize("count", [1, 9])
def test_the_strongest_map_is_shown_in_other_pictures(found: Occlusion | None, count: int) -> None:
    part = projections(5, 4)
    parts = part, others(part, 0, count), others(part, 1, count)
    drawn = [panel(explanation((one,), found), RECORD) for one in parts]
    assert green(drawn[0]) == 0
    assert green(drawn[1]) > count * 2000
    assert green(drawn[2]) == 0, "of the strongest map alone"
    assert drawn[0] == drawn[2]


def test_figure_7_with_projections_and_twenty_classes_is_drawn() -> None:
    assert size(panel(explanation((projections(5),), occlusion(17, 10, classes=20)), RECORD))[0] == 1794


def test_maps_of_zeros_and_names_with_dollars_and_underscores_are_drawn() -> None:
    nothing = occlusion(50, 50)
    nothing = replace(
        nothing,
        feature_activity=0 * nothing.feature_activity,
        feature_unoccluded=0.0,
        target_probability=0 * nothing.target_probability,
        unoccluded=0.0,
    )
    names = tuple(ClassName("x", f"_$\\frac{i}$ a very long name of a class") for i in range(20))
    assert size(panel(explanation(None, nothing), replace(RECORD, name="a$b$_c", classes=names)))[0] == 1794


def test_the_same_explanation_gives_the_same_bytes_without_date_or_program() -> None:
    picture = explanation((projections(2, 2),), occlusion(112, 112))
    png = panel(picture, RECORD)
    assert png == panel(picture, RECORD)
    assert set(Image.open(io.BytesIO(png)).info) <= {"dpi"}


def test_worst_and_best_square_have_the_lowest_and_highest_probability_the_first_in_reading_order() -> None:
    found = occlusion(50, 12)
    probability = np.full_like(found.target_probability, 0.5)
    probability[3, -1] = probability[7, 2] = 0.25
    probability[1, 4] = probability[5, 0] = 0.75
    changed = replace(found, target_probability=probability)
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


def test_the_legend_names_the_classes_that_occur_with_their_squares() -> None:
    entries = legend([(13, 3), (2, 2), (5, 1)])
    assert legend_labels(entries, NAMES) == ["class 13 (3)", "class 2 (2)", "class 5 (1)"]


def test_the_legend_of_many_classes_ends_with_the_others() -> None:
    entries = legend([(i, 2 if i < 7 else 1) for i in range(20)])
    assert legend_labels(entries, NAMES) == [*(f"class {i} (2)" for i in range(7)), "13 other classes (13)"]


def test_a_long_label_is_cut() -> None:
    names = (ClassName("n", "West Highland white terrier"),)
    assert legend_labels(legend([(0, 1600)]), names) == ["West Highland white ter… (1,600)"]


def test_the_footer_says_what_the_figure_was_made_with() -> None:
    found = occlusion(17, 10, fill="blur")
    made, note = footer(explanation((projections(5, 1),), found), RECORD)
    assert made == (
        "zfnet-tiny · validation top-1 74.2 % · weights 01234567 · "
        "window 17 px, stride 10 px, fill blur · float32, exact"
    )
    assert note == PROJECTION_NOTE


def test_the_footer_says_whether_captum_agrees() -> None:
    check = CrossCheck("captum", "0.9.0", Agreement(5.6e-7), Agreement(0.25), {})
    checked = replace(explanation((projections(5, 1),), occlusion(17, 10)), crosscheck=check)
    _, said, _ = footer(checked, RECORD)
    assert said == (
        "captum 0.9.0: projections agree, largest difference 6e-07 of the largest value; "
        "occlusion maps DISAGREE, largest difference 0.2 of the largest value"
    )
    assert size(panel(checked, RECORD))[0] == 1794


def test_nothing_alike_is_a_fault_in_any_precision() -> None:
    assert [Agreement(apart, exact=False).agrees for apart in (0.3, 1.0, 3e38)] == [None, False, False]


def test_the_footer_does_not_blame_a_reduced_precision() -> None:
    check = CrossCheck("captum", "0.9.0", None, Agreement(0.012, exact=False), {})
    reduced = replace(occlusion(17, 10), precision="bfloat16", max_deviation=0.004)
    _, said = footer(replace(explanation(None, reduced), crosscheck=check), RECORD)
    assert said == ("captum 0.9.0: occlusion maps in a reduced precision, largest difference 0.01 of the largest value")


@pytest.fixture
def texts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the pages say that are drawn in this test."""
    said: list[str] = []
    write = Page.text

    def noted(page: Page, left: float, baseline: float, text: str, size: float, colour: str = "black") -> None:
        said.append(text)
        write(page, left, baseline, text, size, colour)

    monkeypatch.setattr(Page, "text", noted)
    return said


def test_small_probabilities_keep_their_digits_and_the_highest_is_told(texts: list[str]) -> None:
    found = occlusion(112, 112)
    probability = np.array([[0.00941, 0.00712], [0.3333, 0.0094]], np.float32)
    panel(explanation(None, replace(found, target_probability=probability, unoccluded=0.009449)), RECORD)
    assert "▸ unoccluded 0.00945, lowest ✕ 0.00712, highest ◯ 0.333" in texts


@pytest.mark.parametrize("found", [None, occlusion(112, 112)], ids=["one layer alone", "Figure 7"])
def test_maps_that_were_named_are_not_called_the_strongest(found: Occlusion | None, texts: list[str]) -> None:
    part = projections(5, 3)
    panel(explanation((part,), found), RECORD)
    assert "The next strongest maps" in texts
    texts.clear()
    panel(explanation((replace(part, ranks={0: 1, 1: 4, 2: 9}),), found), RECORD)
    assert "The next strongest maps" not in texts
    assert "The other maps asked for" in texts


def test_what_is_not_drawn_is_said(texts: list[str]) -> None:
    panel(explanation((projections(5, 12),), None), RECORD)
    assert "map: activation; what each saw below it; 9 of 12 drawn, all in json" in texts
    texts.clear()
    panel(explanation((projections(5, 9), projections(4, 10)), None), RECORD)
    [said] = [text for text in texts if "drawn" in text]
    assert said.startswith("256 maps")
    assert said.endswith("; 9 of 10 drawn, all in json")


def test_the_footer_of_reduced_precision_says_how_far_it_is_off() -> None:
    found = replace(occlusion(32, 32), precision="bfloat16", max_deviation=0.00312)
    [made] = footer(explanation(None, found), RECORD)
    assert made.endswith("bfloat16, at most 0.003 from float32 where compared")
