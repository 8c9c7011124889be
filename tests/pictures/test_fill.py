"""What an occluding square shows."""

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from zfnet_explainer.pictures.fill import fill_pixels

MEAN = (0.5, 0.25, 0.9)


def noise() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("fill", "colour"),
    [
        ("gray", (128, 128, 128)),
        ("black", (0, 0, 0)),
        ("white", (255, 255, 255)),
        ("#0aFF10", (10, 255, 16)),
        ("mean", (128, 64, 230)),
    ],
)
def test_colours(fill: str, colour: tuple[int, int, int]) -> None:
    filled = fill_pixels(fill, noise(), 4, MEAN)
    assert filled.dtype == np.uint8
    assert filled.shape == (9, 7, 3)
    assert (filled == colour).all()


@pytest.mark.parametrize("window", [1, 3, 8])
def test_blur_is_pillows(window: int) -> None:
    expected = Image.fromarray(noise()).filter(ImageFilter.GaussianBlur(radius=window / 4))
    assert np.array_equal(fill_pixels("blur", noise(), window, MEAN), np.asarray(expected))


def test_blur_leaves_one_colour_alone() -> None:
    pixels = np.full((9, 7, 3), (10, 20, 30), np.uint8)
    assert np.array_equal(fill_pixels("blur", pixels, 4, MEAN), pixels)


@pytest.mark.parametrize("fill", ["gray", "mean", "blur"])
def test_input_stays(fill: str) -> None:
    pixels = noise()
    filled = fill_pixels(fill, pixels, 4, MEAN)
    assert filled.flags.writeable
    assert not np.shares_memory(filled, pixels)
    assert np.array_equal(pixels, noise())
