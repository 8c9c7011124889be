"""Arrays as pictures: scaling, colours and places worked out by hand or taken from matplotlib's tables."""

import io
from dataclasses import replace

import matplotlib
import numpy as np
import pytest
from PIL import Image

from tests.occlusions import by_hand
from zfnet_explainer.explanation import Occlusion, Pixels
from zfnet_explainer.methods.squares import Squares, squares
from zfnet_explainer.net.geometry import Box
from zfnet_explainer.pictures.display import (
    CIVIDIS,
    CLASS_COLOURS,
    DIVERGING,
    OTHER_COLOUR,
    VIRIDIS,
    cell_edges,
    class_counts,
    class_pixels,
    legend,
    map_pixels,
    occlusion_pixels,
    patch_pixels,
    png_bytes,
    projection_pixels,
    upper,
)

WHOLE = Box(0, 0, 2, 2)


def test_a_zero_projection_is_mid_grey() -> None:
    assert (projection_pixels(np.zeros((3, 2, 2), np.float32), WHOLE) == 128).all()


def test_a_projection_is_scaled_by_its_99_5th_percentile_and_cut_there() -> None:
    projection = np.full((3, 20, 20), 2, np.float32)
    projection[0, 0, :4] = [-2, 1, 0, 1000]  # 1 of 1,200 values is beyond the percentile, which is 2
    pixels = projection_pixels(projection, Box(0, 0, 20, 20))
    assert pixels[0, :5, 0].tolist() == [1, 192, 128, 255, 255]  # 128 + 127 * (-1, 0.5, 0, 1, 1), rounded to even
    assert (pixels[1:] == 255).all()


def test_a_projection_whose_percentile_is_zero_is_scaled_by_its_largest_value() -> None:
    projection = np.zeros((3, 40, 40), np.float32)
    projection[1, 3, 5] = -1e-4
    pixels = projection_pixels(projection, Box(0, 0, 40, 40))
    assert pixels[3, 5].tolist() == [128, 1, 128]


def test_a_projection_is_cut_to_its_box_before_it_is_scaled() -> None:
    projection = np.zeros((3, 6, 8), np.float32)
    projection[:, 2, 3] = 0.5
    projection[:, 0, 0] = 100
    pixels = projection_pixels(projection, Box(2, 3, 4, 6))
    assert pixels.shape == (2, 3, 3)
    assert pixels[..., 0].tolist() == [[255, 128, 128], [128, 128, 128]]


def test_a_patch_is_the_part_of_the_picture_in_the_box() -> None:
    pixels = np.arange(5 * 6 * 3, dtype=np.uint8).reshape(5, 6, 3)
    assert patch_pixels(pixels, Box(1, 2, 3, 6)).tolist() == pixels[1:3, 2:6].tolist()


@pytest.mark.parametrize(("table", "name"), [(VIRIDIS, "viridis"), (CIVIDIS, "cividis"), (DIVERGING, "RdBu")])
def test_colour_tables_are_matplotlibs(table: Pixels, name: str) -> None:
    theirs = matplotlib.colormaps[name](np.arange(256))[:, :3] * 255
    assert np.abs(table - theirs).max() < 5


@pytest.mark.parametrize(
    ("starts", "window", "edges"),
    [
        ((0, 8, 16), 32, [12, 20, 28, 36]),
        ((0, 10, 20, 24), 17, [3.5, 13.5, 23.5, 30.5, 34.5]),  # the last square is 4 pixels on
        ((0,), 224, [0, 224]),
        ((0, 1, 2), 1, [0, 1, 2, 3]),
        ((0, 5), 100, [47.5, 52.5, 57.5]),
    ],
)
def test_cells_meet_half_way_between_centres(starts: tuple[int, ...], window: int, edges: list[float]) -> None:
    assert cell_edges(starts, window).tolist() == edges


def test_cells_of_window_17_stride_10_lie_at_their_squares() -> None:
    grid = squares(224, 224, 17, 10)  # starts 0, 10, ... 200, 207; centres 8.5, 18.5, ... 208.5, 215.5
    values = np.zeros((22, 22), np.float32)
    values[0, 21] = 1
    picture = map_pixels(values, VIRIDIS, grid, 224, 224)
    bright = np.argwhere((picture[..., :3] == VIRIDIS[255]).all(2))
    assert (bright.min(0).tolist(), bright.max(0).tolist()) == ([3, 212], [12, 218])
    assert len(bright) == 10 * 7
    shown = np.argwhere(picture[..., 3] == 255)
    assert (shown.min(0).tolist(), shown.max(0).tolist()) == ([3, 3], [218, 218])
    assert set(np.unique(picture[..., 3])) == {0, 255}


def test_rows_are_tops_and_columns_are_lefts() -> None:
    grid = Squares(2, 2, (0, 2), (0, 2, 4))
    picture = map_pixels(np.array([[0, 0, 0], [0, 1, 0]], np.float32), CIVIDIS, grid, 4, 6)
    bright = (picture[..., :3] == CIVIDIS[255]).all(2)
    assert bright.astype(int).tolist() == [[0] * 6, [0] * 6, [0, 0, 1, 1, 0, 0], [0, 0, 1, 1, 0, 0]]


def test_one_square_over_everything_colours_everything() -> None:
    picture = map_pixels(np.ones((1, 1), np.float32), VIRIDIS, squares(224, 224, 224, 224), 224, 224)
    assert (picture == [*VIRIDIS[255], 255]).all()


def test_maps_of_one_pixel_squares_are_the_values_pixel_for_pixel() -> None:
    values = np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 4)
    picture = map_pixels(values, VIRIDIS, squares(3, 4, 1, 1), 3, 4)
    assert (picture[..., :3] == VIRIDIS[(values * 255).round().astype(int)]).all()


def test_colours_run_from_zero_to_the_largest_value_or_the_unoccluded_one() -> None:
    values = np.array([[0.2, 0.5]], np.float32)
    assert upper(values, 0.8) == 0.8
    assert upper(values, 0.1) == 0.5
    assert upper(np.zeros((2, 2), np.float32), 0.0) == 1.0


def class_map(classes: list[list[int]], prediction: int) -> Occlusion:
    """An occlusion with these most probable classes, and with nothing covered this one."""
    found = np.array(classes, np.int64)
    grid, flat = squares(found.shape[0], found.shape[1], 1, 1), np.zeros(found.shape, np.float32)
    return by_hand(grid, flat, found, 0.0, prediction, target=19)


def test_the_prediction_is_counted_first_then_the_most_frequent_class() -> None:
    classes = [[7, 7, 3], [3, 9, 7]]
    assert class_counts(class_map(classes, 9)) == [(9, 1), (7, 3), (3, 2)]
    assert class_counts(class_map(classes, 7)) == [(7, 3), (3, 2), (9, 1)]
    assert class_counts(class_map(classes, 1)) == [(1, 0), (7, 3), (3, 2), (9, 1)], "under no square too"
    assert class_counts(class_map([[5, 2], [2, 5]], 2)) == [(2, 2), (5, 2)]
    assert class_counts(class_map([[5, 2], [2, 5]], 1)) == [(1, 0), (2, 2), (5, 2)], "a tie goes to the lower index"


def test_the_legend_has_a_colour_for_each_class_in_order() -> None:
    entries = legend([(9, 1), (7, 3), (3, 2)])
    assert [(e.classes, e.positions) for e in entries] == [((9,), 1), ((7,), 3), ((3,), 2)]
    assert [e.colour for e in entries] == list(CLASS_COLOURS[:3])


def test_eight_classes_keep_a_colour_each_and_nine_do_not() -> None:
    assert [e.classes for e in legend([(i, 1) for i in range(8)])] == [(i,) for i in range(8)]
    entries = legend([(i, 2 if i < 7 else 1) for i in range(9)])
    assert [e.classes for e in entries] == [*((i,) for i in range(7)), (7, 8)]
    assert (entries[-1].positions, entries[-1].colour) == (2, OTHER_COLOUR)
    assert len({e.colour for e in entries}) == 8


def test_class_pixels_have_the_legends_colours() -> None:
    picture = class_pixels(class_map([[4, 4], [4, 11]], 4), 2, 2)
    assert picture.tolist() == [[[*CLASS_COLOURS[0], 255]] * 2, [[*CLASS_COLOURS[0], 255], [*CLASS_COLOURS[1], 255]]]


def test_the_predictions_colour_is_no_other_classs_where_it_is_under_no_square() -> None:
    few = class_pixels(class_map([[4, 4], [4, 11]], 7), 2, 2)
    assert few[..., :3].tolist() == [[list(CLASS_COLOURS[1])] * 2, [list(CLASS_COLOURS[1]), list(CLASS_COLOURS[2])]]
    many = class_pixels(class_map([list(range(1, 13))], 0), 1, 12)
    assert many[0, :, :3].tolist() == [*map(list, CLASS_COLOURS[1:7]), *[list(OTHER_COLOUR)] * 6]


def test_the_answers_three_maps_are_coloured_by_their_own_ranges() -> None:
    grid = squares(2, 2, 1, 1)
    low, high = np.array([[0, 40], [40, 40]], np.float32), np.array([[0.5, 0], [0.25, 0.5]], np.float32)
    found = by_hand(grid, high, np.zeros((2, 2), np.int64), 0.5, 0, target=1)
    found = replace(found, feature_activity=low, feature_unoccluded=80.0)
    pictures = occlusion_pixels(found, 2, 2)
    assert (pictures["feature_activity"][0, 1, :3] == VIRIDIS[128]).all()  # half of the unoccluded 80
    assert (pictures["target_probability"][0, :, :3] == CIVIDIS[[255, 0]]).all()
    assert (pictures["most_probable_class"] == [*CLASS_COLOURS[0], 255]).all()


@pytest.mark.parametrize("channels", [3, 4])
def test_png_bytes_read_back_equal_and_are_the_same_each_time(channels: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, channels), np.uint8)
    encoded = png_bytes(pixels)
    assert (np.asarray(Image.open(io.BytesIO(encoded))) == pixels).all()
    assert encoded == png_bytes(pixels)
