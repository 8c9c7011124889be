"""The square that is cut, and how it is brought to the net's size."""

import numpy as np
import pytest
from PIL import Image

from tests.samples import encoded, noise
from zfnet_explainer.pictures.decode import decode
from zfnet_explainer.pictures.view import Crop

from .coded import SIZE, assert_close, pixels_of


@pytest.mark.parametrize(
    ("height", "width", "crop"),
    [
        (224, 301, Crop(0, 38, 224, 224)),
        (224, 225, Crop(0, 0, 224, 224)),
        (225, 224, Crop(0, 0, 224, 224)),
        (401, 224, Crop(88, 0, 224, 224)),
        (227, 224, Crop(1, 0, 224, 224)),
    ],
)
def test_the_centre_square_is_cut_whole_pixels(height: int, width: int, crop: Crop) -> None:
    pixels = noise(height, width)
    found = decode(encoded(pixels), SIZE)
    assert found.crop == crop
    assert (found.width, found.height) == (width, height)
    assert (found.pixels == pixels[crop.top : crop.top + 224, crop.left : crop.left + 224]).all()


def test_nothing_outside_the_square_reaches_the_pixels() -> None:
    pixels = np.full((500, 900, 3), 255, np.uint8)
    pixels[:, 200:700] = [10, 20, 30]
    found = decode(encoded(pixels), SIZE)
    assert found.crop == Crop(0, 200, 500, 500)
    assert (found.pixels == [10, 20, 30]).all()


def test_downsizing_is_antialiased() -> None:
    board = (np.indices((896, 896)).sum(0) % 2 * 255).astype(np.uint8)
    assert_close(pixels_of(encoded(board)), np.full((SIZE, SIZE, 3), 127.5), 3)


def test_resizing_is_bicubic() -> None:
    pixels = noise(500, 500)
    wanted = np.array(Image.fromarray(pixels).resize((SIZE, SIZE), Image.Resampling.BICUBIC))
    assert (pixels_of(encoded(pixels)) == wanted).all()


@pytest.mark.parametrize(
    ("height", "width", "crop"),
    [
        (1, 1, Crop(0, 0, 1, 1)),
        (1, 100_000, Crop(0, 49_999, 1, 1)),
        (100_000, 1, Crop(49_999, 0, 1, 1)),
        (2, 3, Crop(0, 0, 2, 2)),
    ],
)
def test_tiny_pictures_are_enlarged(height: int, width: int, crop: Crop) -> None:
    found = decode(encoded(np.full((height, width, 3), [1, 2, 3], np.uint8)), SIZE)
    assert found.crop == crop
    assert (found.pixels == [1, 2, 3]).all()
