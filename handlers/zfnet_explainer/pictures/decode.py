"""Encoded pictures -> the square of pixels that the net sees."""

import io
import re
import warnings
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from PIL import ExifTags, Image, ImageFile, UnidentifiedImageError

from ..errors import TooLarge, UndecodableImage, UnsupportedImage
from ..explanation import Pixels
from . import gif, jpeg, png, tiff
from .rgb import WHITE_IS_ZERO, as_rgb

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
MAX_BYTES = 20 * 2**20
MAX_PIXELS = 50_000_000
MAX_CODED_PIXELS = 75_000_000  # those of a TIFF's tiles, which at its right and below reach out of the picture
MAX_RLE = 2_000_000  # pixels, and bytes: a BMP's runs are decoded in Python, a million of either in 0.2 s
MAX_SCANNED_PIXELS = 5_000_000_000  # 100 scans of a progressive JPEG of 50 megapixels, a few seconds' work
SIGNATURES = re.compile(
    rb"\xff\xd8\xff|\x89PNG\r\n\x1a\n|RIFF....WEBP|GIF8[79]a|BM|II\*\0|MM\0\*|II\+\0|MM\0\+", re.DOTALL
)
MAX_EXIF = 2**20  # bytes that are searched for how the picture is turned
INTERPOLATIONS = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}
MAX_RESIZED = 16_000_000  # pixels of a whole resized picture, 64 MB: its sides are then as 240 to 1
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

# Pillow's remarks on odd metadata; our bound on pixels is tighter than its own. Once for all: what warnings has for
# a while it sets for every thread.
warnings.filterwarnings("ignore", module="PIL")


class View(Protocol):
    """What a net sees of a picture, as `Preprocessing` has it: see there."""

    @property
    def size(self) -> int: ...
    @property
    def crop(self) -> float: ...
    @property
    def interpolation(self) -> str: ...


@dataclass(frozen=True)
class WholeSquare:
    """The view of a whole centre square."""

    size: int
    crop: float = 1.0
    interpolation: str = "bicubic"


@dataclass(frozen=True)
class Crop:
    """The square cut from the original, in the original's pixels (after EXIF orientation), to the nearest of them."""

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


def as_view(view: View | int) -> View:
    """A number is the whole centre square at so many pixels."""
    return WholeSquare(view) if isinstance(view, int) else view


def decode(encoded: bytes, view: View | int) -> Picture:
    """Decode a JPEG, PNG, WebP, GIF (first frame), BMP or TIFF of any mode and cut its centre square.

    `view` is a record's preprocessing, or the size of the whole square. EXIF orientation is honoured, transparency laid
    over white, 16 bits a channel reduced to 8, white-is-zero inverted.
    Raises TooLarge, UnsupportedImage or UndecodableImage.
    """
    if len(encoded) > MAX_BYTES:
        raise TooLarge(
            f"the picture has {len(encoded):,} bytes; at most {MAX_BYTES:,} (20 MiB) are read: send a smaller one"
        )
    with _open(encoded) as image:
        _bound(image, encoded)
        _complete_info(image, encoded)
        try:
            upright = _upright(image)
            square, crop = cut(upright, view)
        except MemoryError:  # the server's, not the bytes'
            raise
        except Exception as error:  # whatever a decoder raises on damaged bytes, the bytes are the cause
            refused = UndecodableImage(f"the {image.format} picture cannot be decoded ({error}): is it complete?")
            refused.pixels = image.width * image.height
            raise refused from error
        return Picture(np.array(square), upright.width, upright.height, crop)


def cut(image: Image.Image, view: View | int) -> tuple[Image.Image, Crop]:
    """What a net sees of an upright picture, as RGB, and where that lies in it."""
    view = as_view(view)
    if view.crop < 1:
        return _centre_crop(image, view)
    return centre_square(image, view.size, view.interpolation)


def centre_square(image: Image.Image, size: int, interpolation: str = "bicubic") -> tuple[Image.Image, Crop]:
    """Cut the centre square, as RGB, and resize it (antialiased) where it is not `size` already."""
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    square = as_rgb(image, (left, top, left + side, top + side))
    if side != size:
        square = square.resize((size, size), INTERPOLATIONS[interpolation])
    return square, Crop(top, left, side, side)


def _centre_crop(image: Image.Image, view: View) -> tuple[Image.Image, Crop]:
    """Resize the picture and cut the centre, to the bit as torchvision's Resize and CenterCrop do.

    A very long one is not resized as a whole, which would not fit memory: a pixel may then differ by one level.
    """
    shorter, method = round(view.size / view.crop), INTERPOLATIONS[view.interpolation]
    width, height = (int(shorter * side / min(image.size)) for side in image.size)
    left, top = round((width - view.size) / 2), round((height - view.size) / 2)
    box = (left, top, left + view.size, top + view.size)
    across, down = image.width / width, image.height / height
    seen = (box[0] * across, box[1] * down, box[2] * across, box[3] * down)
    if width * height <= MAX_RESIZED:
        square = as_rgb(image).resize((width, height), method).crop(box)
    else:
        square = as_rgb(image).resize((view.size, view.size), method, box=seen)
    first, last = (round(seen[0]), round(seen[1])), (round(seen[2]), round(seen[3]))
    return square, Crop(first[1], first[0], max(1, last[1] - first[1]), max(1, last[0] - first[0]))


def _open(encoded: bytes) -> ImageFile.ImageFile:
    pixels = encoded
    for of_format in (jpeg, png, gif, tiff):
        pixels = of_format.without_metadata(pixels)
    try:
        return Image.open(io.BytesIO(pixels), formats=FORMATS)
    except UnidentifiedImageError as error:
        if SIGNATURES.match(encoded):
            raise UndecodableImage(
                "the picture's header cannot be read: is it complete? If so its kind is rare: save it as PNG or JPEG"
            ) from error
        raise UnsupportedImage(
            "these bytes are not a picture this server reads: send JPEG, PNG, WebP, GIF, BMP or TIFF"
        ) from error
    except Image.DecompressionBombError as error:
        raise _too_many_pixels("over 170 megapixels") from error
    except MemoryError:
        raise
    except Exception as error:  # as in `decode`: header parsers raise what they like on damaged bytes
        raise UndecodableImage(f"the picture's header cannot be read ({error}): is it complete?") from error


def _bound(image: ImageFile.ImageFile, encoded: bytes) -> None:
    """Refuse, by its header, a picture that is too large, too slow to decode, or of a depth that is not read."""
    pixels = image.width * image.height
    if pixels > MAX_PIXELS:
        raise _too_many_pixels(f"{image.width} x {image.height} pixels")
    if image.format == "TIFF":
        _bound_tiff(image)
    if image.format == "JPEG" and pixels * jpeg.scans(encoded) > MAX_SCANNED_PIXELS:
        raise UndecodableImage("the JPEG picture has too many scans: save it again, not progressive")
    if image.tile and image.tile[0].codec_name == "bmp_rle" and max(pixels, len(encoded)) > MAX_RLE:
        raise TooLarge("a run-length encoded BMP is read up to 2 megapixels and 2 MB: send a smaller one, or a PNG")
    if image.mode in ("I", "F") or 12 in getattr(image, "tag_v2", {}).get(ExifTags.Base.BitsPerSample, ()):
        raise UnsupportedImage("this depth of pixels (12 or 32 bits a channel) is not read: send 8 or 16 bits")


def _bound_tiff(image: ImageFile.ImageFile) -> None:
    width, height = tiff.tile_size(image)
    if width * height > MAX_PIXELS:
        raise _too_many_pixels(f"tiles of {width} x {height} pixels")
    coded = tiff.coded_pixels(image)
    if coded > MAX_CODED_PIXELS:
        raise _too_many_pixels(f"strips or tiles of {coded:,} pixels together")


def _complete_info(image: Image.Image, encoded: bytes) -> None:
    """Put into `info`, which turns and crops keep, what Pillow does not do to the pixels, or does to them alone.

    White as zero in a TIFF of 16 bits, and the scale of the value that is transparent in a PNG.
    """
    if image.format == "TIFF":
        tags = getattr(image, "tag_v2", {})
        image.info[WHITE_IS_ZERO] = tags.get(ExifTags.Base.PhotometricInterpretation) == 0
    elif image.format == "PNG":
        key, depth = image.info.get("transparency"), encoded[24]
        if depth == 16 and isinstance(key, tuple):
            image.info["transparency"] = tuple(channel >> 8 for channel in key)
        elif depth in (2, 4) and image.mode == "L" and isinstance(key, int):
            image.info["transparency"] = key * 255 // (2**depth - 1)


def _too_many_pixels(size: str) -> TooLarge:
    return TooLarge(f"the picture has {size}; at most 50 megapixels are read: send a smaller one")


def _upright(image: Image.Image) -> Image.Image:
    """The picture turned as its EXIF says, for which the other is given up; as it is where that is damaged."""
    image.info.pop("xmp", None)  # where there is no EXIF, Pillow would turn by this, and browsers do not
    image.load()
    orientation = _orientation(image)
    if orientation not in UPRIGHT:
        return image
    turned = image.transpose(UPRIGHT[orientation])
    image.close()
    return turned


def _orientation(image: Image.Image) -> object:
    if len(image.info.get("exif", b"")) > MAX_EXIF:
        return None
    try:
        return image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # damaged metadata is no damage to the pixels
        return None
