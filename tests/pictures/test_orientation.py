"""Pictures are turned as their cameras say, in every format that can."""

import zlib
from collections.abc import Callable

import numpy as np
import pytest
from PIL import ExifTags, Image

from tests.samples import encoded, noise, png_chunk, saved
from zfnet_explainer.pictures.decode import decode
from zfnet_explainer.pictures.view import Crop

from .coded import LOSSLESS, PICTURE, SIX, SIZE, Pixels, assert_close, pixels_of

STORED: dict[int, Callable[[Pixels], Pixels]] = {
    1: lambda p: p,
    2: lambda p: p[:, ::-1],
    3: lambda p: p[::-1, ::-1],
    4: lambda p: p[::-1],
    5: lambda p: p.swapaxes(0, 1),
    6: lambda p: np.rot90(p, 1),  # a camera held upright: shown after a quarter turn clockwise
    7: lambda p: p[::-1, ::-1].swapaxes(0, 1),
    8: lambda p: np.rot90(p, -1),
}


@pytest.mark.parametrize("file_format", ["PNG", "WEBP", "TIFF", "JPEG"])
@pytest.mark.parametrize("orientation", STORED)
def test_every_orientation_gives_the_same_upright_picture(orientation: int, file_format: str) -> None:
    upright = noise(231, 302, seed=3)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    stored = Image.fromarray(np.ascontiguousarray(STORED[orientation](upright)))
    options = {"quality": 100, "subsampling": 0} if file_format == "JPEG" else LOSSLESS[file_format]
    found = decode(saved(stored, file_format, exif=exif, **options), SIZE)
    assert (found.width, found.height, found.crop) == (302, 231, Crop(0, 35, 231, 231))
    assert_close(found.pixels, decode(encoded(upright), SIZE).pixels, 4 if file_format == "JPEG" else 0)


@pytest.mark.parametrize(
    "exif",
    [b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0garbage", b"Exif\0\0MM\0*\0\0\0\x08\0\x09\0"],
    ids=["far-away", "no-tiff", "cut"],
)
def test_damaged_exif_leaves_the_picture_as_it_is(exif: bytes) -> None:
    for file_format in ("PNG", "WEBP"):
        data = saved(Image.fromarray(PICTURE), file_format, exif=exif, **LOSSLESS[file_format])
        assert (pixels_of(data) == PICTURE).all()


def test_an_orientation_that_does_not_exist_is_ignored() -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 9
    assert (pixels_of(saved(Image.fromarray(PICTURE), exif=exif)) == PICTURE).all()


def text(kind: bytes, name: bytes, value: bytes) -> bytes:
    """A text chunk, compressed where its kind is, or may be."""
    between = {b"tEXt": b"\0", b"zTXt": b"\0\0", b"iTXt": b"\0\1\0\0\0"}[kind]
    return png_chunk(kind, name + between + (value if kind == b"tEXt" else zlib.compress(value)))


XMP = b'<x:xmpmeta><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
PROFILE = b"\nexif\n      34\n" + (b"Exif\0\0" + SIX).hex().encode()
TURNED = np.rot90(PICTURE, -1)


@pytest.mark.parametrize(
    ("extra", "turned"),
    [
        (text(b"iTXt", b"XML:com.adobe.xmp", XMP), False),
        (png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP), False),
        (text(b"zTXt", b"Raw profile type exif", PROFILE), True),
        (text(b"tEXt", b"Raw profile type exif", PROFILE), True),
        (text(b"zTXt", b"Raw profile type exif", PROFILE + bytes(2**20)), False),
        (
            text(b"zTXt", b"Raw profile type exif", bytes(2**20)) + text(b"tEXt", b"Raw profile type exif", PROFILE),
            False,
        ),
        (text(b"iTXt", b"Comment", XMP), False),
    ],
    ids=["xmp", "plain-xmp", "packed-profile", "profile", "too-long", "second", "comment"],
)
def test_a_png_is_turned_as_its_texts_say(extra: bytes, turned: bool) -> None:
    """Before the pixels and behind them."""
    plain = encoded(PICTURE)
    for at in (33, len(plain) - 12):
        data = plain[:at] + extra + plain[at:]
        assert (pixels_of(data) == (TURNED if turned else PICTURE)).all()
