"""Encoded pictures -> the square of pixels that the net sees."""

import io
import warnings
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from ..explanation import Pixels
from .errors import TooLarge, UndecodableImage, UnsupportedImage

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
MAX_BYTES = 20 * 2**20
MAX_PIXELS = 50_000_000


@dataclass(frozen=True)
class Crop:
    """The square cut from the original, in the original's pixels (after EXIF orientation)."""

    top: int
    left: int
    height: int
    width: int


@dataclass(frozen=True)
class Picture:
    """Pixels uint8 [size, size, 3], the original's size, and where in it they come from."""

    pixels: Pixels
    width: int
    height: int
    crop: Crop


def decode(encoded: bytes, size: int) -> Picture:
    """Decode a JPEG, PNG, WebP, GIF (first frame), BMP or TIFF of any mode and cut its centre square.

    EXIF orientation is honoured, transparency laid over white, 16 bits a channel reduced to 8.
    Raises TooLarge, UnsupportedImage or UndecodableImage.
    """
    if len(encoded) > MAX_BYTES:
        raise TooLarge(
            f"the picture has {len(encoded):,} bytes; at most {MAX_BYTES:,} (20 MiB) are read: send a smaller one"
        )
    with _open(encoded) as image:
        if image.width * image.height > MAX_PIXELS:
            raise _too_many_pixels(f"{image.width} x {image.height} pixels")
        try:
            upright = ImageOps.exif_transpose(image)
            square, crop = centre_square(upright, size)
        except UnsupportedImage:
            raise
        except Exception as error:  # whatever a decoder raises on damaged bytes, the bytes are the cause
            raise UndecodableImage(
                f"the {image.format} picture cannot be decoded ({error}): is it complete?"
            ) from error
        return Picture(np.array(square), upright.width, upright.height, crop)


def centre_square(image: Image.Image, size: int) -> tuple[Image.Image, Crop]:
    """Cut the centre square, as RGB, and resize it (bicubic, antialiased) where it is not `size` already."""
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    square = _rgb(image.crop((left, top, left + side, top + side)))
    if side != size:
        square = square.resize((size, size), Image.Resampling.BICUBIC)
    return square, Crop(top, left, side, side)


def _open(encoded: bytes) -> Image.Image:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # our own bound is tighter
            return Image.open(io.BytesIO(encoded), formats=FORMATS)
    except UnidentifiedImageError as error:
        raise UnsupportedImage(
            "these bytes are not a picture this server reads: send JPEG, PNG, WebP, GIF, BMP or TIFF"
        ) from error
    except Image.DecompressionBombError as error:
        raise _too_many_pixels("over 170 megapixels") from error
    except Exception as error:  # as in `decode`: header parsers raise what they like on damaged bytes
        raise UndecodableImage(f"the picture's header cannot be read ({error}): is it complete?") from error


def _too_many_pixels(size: str) -> TooLarge:
    return TooLarge(f"the picture has {size}; at most 50 megapixels are read: send a smaller one")


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode == "F":
        raise UnsupportedImage("pictures with floating-point pixels are not read: send 8 or 16 bits a channel")
    if image.mode.startswith("I"):
        values = np.asarray(image).astype(np.int64)
        return Image.fromarray((values.clip(0, 65535) / 257).round().astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        picture = image.convert("RGBA")
        white = Image.new("RGBA", picture.size, "white")
        return Image.alpha_composite(white, picture).convert("RGB")
    return image.convert("RGB")
