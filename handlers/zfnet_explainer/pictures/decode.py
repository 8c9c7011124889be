"""Encoded pictures -> the square of pixels that the net sees."""

import io
import re
import warnings

from PIL import ExifTags, Image, ImageFile, UnidentifiedImageError

from ..errors import TooLarge, UndecodableImage, UnsupportedImage
from .formats import gif, jpeg, png, tiff
from .formats.rgb import WHITE_IS_ZERO
from .view import Picture, View, of_upright
from .work import MAX_PIXELS, MAX_SCANNED_PIXELS, Work

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
MAX_BYTES = 20 * 2**20
MAX_CODED_PIXELS = 75_000_000  # those of a TIFF's tiles, which at its right and below reach out of the picture
MAX_RLE = 2_000_000  # pixels, and bytes: a BMP's runs are decoded in Python, a million of either in 0.2 s
SIGNATURES = re.compile(
    rb"\xff\xd8\xff|\x89PNG\r\n\x1a\n|RIFF....WEBP|GIF8[79]a|BM|II\*\0|MM\0\*|II\+\0|MM\0\+", re.DOTALL
)
MAX_EXIF = 2**20  # bytes that are searched for how the picture is turned
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


def decode(encoded: bytes, view: View | int, work: Work | None = None) -> Picture:
    """Decode a JPEG, PNG, WebP, GIF (first frame), BMP or TIFF of any mode and cut its centre square.

    `view` is a record's preprocessing, or the size of the whole square. EXIF orientation is honoured, transparency laid
    over white, 16 bits a channel reduced to 8, white-is-zero inverted. What it takes is added to the request's `work`.
    Raises TooLarge, UnsupportedImage or UndecodableImage.
    """
    if len(encoded) > MAX_BYTES:
        raise TooLarge(
            f"the picture has {len(encoded):,} bytes; at most {MAX_BYTES:,} (20 MiB) are read: send a smaller one"
        )
    for of_format in (jpeg, png, gif, tiff):
        encoded = of_format.without_metadata(encoded)
    with _open(encoded) as image:
        _bound(image, encoded, work or Work())
        _complete_info(image, encoded)
        try:
            return of_upright(_upright(image), view)
        except MemoryError:  # the server's, not the bytes'
            raise
        except Exception as error:  # whatever a decoder raises on damaged bytes, the bytes are the cause
            raise UndecodableImage(
                f"the {image.format} picture cannot be decoded ({error}): is it complete?"
            ) from error


def _open(encoded: bytes) -> ImageFile.ImageFile:
    try:
        return Image.open(io.BytesIO(encoded), formats=FORMATS)
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


def _bound(image: ImageFile.ImageFile, encoded: bytes, work: Work) -> None:
    """Refuse, by its header, a picture that is too large, too slow to decode, or of a depth that is not read."""
    pixels = image.width * image.height
    if pixels > MAX_PIXELS:
        raise _too_many_pixels(f"{image.width} x {image.height} pixels")
    scans = jpeg.scans(encoded) if image.format == "JPEG" else 1
    if pixels * scans > MAX_SCANNED_PIXELS:
        raise TooLarge("the JPEG picture has too many scans: save it again, not progressive")
    if image.tile and image.tile[0].codec_name == "bmp_rle" and max(pixels, len(encoded)) > MAX_RLE:
        raise TooLarge("a run-length encoded BMP is read up to 2 megapixels and 2 MB: send a smaller one, or a PNG")
    if image.mode in ("I", "F") or 12 in getattr(image, "tag_v2", {}).get(ExifTags.Base.BitsPerSample, ()):
        raise UnsupportedImage("this depth of pixels (12 or 32 bits a channel) is not read: send 8 or 16 bits")
    work.add(max(pixels, _coded_pixels(image, encoded)) if image.format == "TIFF" else pixels, scans)


def _coded_pixels(image: ImageFile.ImageFile, encoded: bytes) -> int:
    """How many pixels of a TIFF are decoded, which are at most so many."""
    width, height = tiff.tile_size(image)
    if width * height > MAX_PIXELS:
        raise _too_many_pixels(f"tiles of {width} x {height} pixels")
    coded = tiff.coded_pixels(image, encoded)
    if coded > MAX_CODED_PIXELS:
        raise _too_many_pixels(f"strips or tiles of {coded:,} pixels together")
    return coded


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
