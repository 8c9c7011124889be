"""What a net with torchvision's preprocessing sees of a picture: torchvision's own transforms are the oracle."""

import io

import numpy as np
import pytest
from PIL import Image
from torchvision.transforms import CenterCrop, InterpolationMode, Resize

from zfnet_explainer.net.record import Preprocessing
from zfnet_explainer.pictures.decode import decode
from zfnet_explainer.pictures.view import MAX_RESIZED, Crop, WholeSquare, centre_square, cut

from ..samples import SAMPLE, encoded, noise, saved

TORCHVISION = WholeSquare(224, 224 / 256, "bilinear")
SIZES = [(224, 224), (256, 256), (300, 255), (255, 300), (1, 1), (3, 2), (100, 57), (223, 225), (480, 640), (31, 997)]


def as_torchvision(image: Image.Image, resized: int, size: int, mode: InterpolationMode) -> Image.Image:
    shown: Image.Image = CenterCrop(size)(Resize(resized, mode)(image.convert("RGB")))
    return shown


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize(("resized", "name"), [(256, "bilinear"), (232, "bilinear"), (236, "bicubic")])
def test_pixels_are_torchvisions(width: int, height: int, resized: int, name: str) -> None:
    pixels = np.random.default_rng(width).integers(0, 256, (height, width, 3), dtype=np.uint8)
    found = decode(encoded(pixels), WholeSquare(224, 224 / resized, name))
    expected = as_torchvision(Image.fromarray(pixels), resized, 224, InterpolationMode(name))
    assert np.array_equal(found.pixels, np.array(expected))
    assert (found.width, found.height) == (width, height)


@pytest.mark.parametrize("mode", ["L", "P", "1", "CMYK", "RGB"])
def test_other_modes_are_too(mode: str) -> None:
    image = Image.fromarray(noise(190, 333)).convert(mode)
    data = saved(image, "TIFF" if mode == "CMYK" else "PNG")
    expected = as_torchvision(Image.open(io.BytesIO(data)), 256, 224, InterpolationMode.BILINEAR)
    assert np.array_equal(decode(data, TORCHVISION).pixels, np.array(expected))


def test_what_is_transparent_lies_over_white() -> None:
    image = Image.fromarray(noise(300, 280)).convert("RGBA")
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    white = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    expected = as_torchvision(white, 256, 224, InterpolationMode.BILINEAR)
    found = decode(saved(image), TORCHVISION).pixels
    assert np.abs(found.astype(int) - np.array(expected)).max() <= 1, "two ways of rounding the blend"


def test_a_photograph() -> None:
    with Image.open(SAMPLE) as image:
        expected = as_torchvision(image, 256, 224, InterpolationMode.BILINEAR)
    assert np.array_equal(decode(SAMPLE.read_bytes(), TORCHVISION).pixels, np.array(expected))


@pytest.mark.parametrize("upright", [True, False])
def test_a_very_long_picture_is_not_resized_as_a_whole(upright: bool) -> None:
    pixels = np.random.default_rng(3).integers(0, 256, (20, 5100, 3), dtype=np.uint8)
    image = Image.fromarray(pixels.transpose(1, 0, 2) if upright else pixels)
    assert MAX_RESIZED < 256 * (256 * 5100 // 20)
    expected = as_torchvision(image, 256, 224, InterpolationMode.BILINEAR)
    found, _ = cut(image, TORCHVISION)
    assert np.abs(np.array(found).astype(int) - np.array(expected)).max() <= 1


def test_the_longest_picture_is_seen_in_its_centre() -> None:
    pixels = np.zeros((1, 2_000_000, 3), np.uint8)
    pixels[0, 999_990:1_000_010] = [10, 200, 30]
    square, crop = cut(Image.fromarray(pixels), TORCHVISION)
    assert (np.array(square) == [10, 200, 30]).all()
    assert crop == Crop(0, 1_000_000, 1, 1)


@pytest.mark.parametrize(
    ("width", "height", "crop"),
    [
        (256, 256, Crop(16, 16, 224, 224)),
        (512, 256, Crop(16, 144, 224, 224)),
        (640, 480, Crop(30, 109, 420, 420)),
        (500, 1000, Crop(281, 31, 438, 438)),
        (64, 64, Crop(4, 4, 56, 56)),
        (1, 1, Crop(0, 0, 1, 1)),
    ],
)
def test_the_crop_is_told_in_the_originals_pixels(width: int, height: int, crop: Crop) -> None:
    assert decode(encoded(np.zeros((height, width, 3), np.uint8)), TORCHVISION).crop == crop


@pytest.mark.parametrize(("width", "height"), [(641, 480), (480, 1003), (256, 256), (90, 70)])
def test_the_crop_is_where_the_pixels_come_from(width: int, height: int) -> None:
    """The picture's red is its column and its green its row, as shares."""
    rows, columns = np.mgrid[0:height, 0:width]
    ramp = np.stack([(columns + 0.5) / width, (rows + 0.5) / height, rows * 0], axis=-1)
    found = decode(encoded((255 * ramp).round().astype(np.uint8)), TORCHVISION)
    middle = found.pixels[112, 112] / 255 * [width, height, 1]
    first, last = found.pixels[0, 0] / 255 * [width, height, 1], found.pixels[-1, -1] / 255 * [width, height, 1]
    crop, error = found.crop, 1.5 + max(width, height) / 255
    assert abs(first[0] - crop.left) < error
    assert abs(last[0] - (crop.left + crop.width)) < error
    assert abs(first[1] - crop.top) < error
    assert abs(last[1] - (crop.top + crop.height)) < error
    assert abs(middle[0] - width / 2) < error


def test_a_whole_square_is_cut_before_it_is_resized() -> None:
    pixels = np.random.default_rng(5).integers(0, 256, (300, 401, 3), dtype=np.uint8)
    expected, crop = centre_square(Image.fromarray(pixels), 224)
    found = decode(encoded(pixels), Preprocessing(224, (0.5,) * 3, (0.5,) * 3))
    assert np.array_equal(found.pixels, np.array(expected))
    assert found.crop == crop
    assert np.array_equal(found.pixels, decode(encoded(pixels), 224).pixels)
    bilinear = decode(encoded(pixels), WholeSquare(224, interpolation="bilinear")).pixels
    plain = Image.fromarray(pixels[:, 50:350]).resize((224, 224), Image.Resampling.BILINEAR)
    assert np.array_equal(bilinear, np.array(plain))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"crop": 0.0}, "`crop` is a share"),
        ({"crop": 1.5}, "`crop` is a share"),
        ({"interpolation": "nearest"}, "one of bicubic, bilinear, not 'nearest'"),
        ({"mean": (0.5,)}, "each of 3 channels"),
        ({"std": (1.0, 0.0, 1.0)}, "each of 3 channels"),
    ],
)
def test_a_preprocessing_that_cannot_be_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Preprocessing(**{"size": 8, "mean": (0.5,) * 3, "std": (1.0,) * 3} | changes)  # type: ignore[arg-type]
