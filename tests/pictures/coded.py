"""Pictures as files, and what is decoded from them."""

import struct
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.samples import noise, png_chunk
from zfnet_explainer.pictures.decode import decode

Pixels = NDArray[np.uint8]
SIZE = 224
PICTURE = noise()
SIX = b"MM\0*\0\0\0\x08\0\1\x01\x12\0\3\0\0\0\1\0\6\0\0\0\0\0\0"  # an EXIF of orientation 6
LOSSLESS: dict[str, dict[str, Any]] = {"PNG": {}, "WEBP": {"lossless": True}, "BMP": {}, "TIFF": {}}


def pixels_of(data: bytes, size: int = SIZE) -> Pixels:
    found = decode(data, size).pixels
    assert found.shape == (size, size, 3)
    assert found.dtype == np.uint8
    return found


def png(width: int, height: int, data: bytes = b"", extra: bytes = b"", bits: int = 8, colour: int = 2) -> bytes:
    """A PNG with this header, chunks before the pixels, and uncompressed rows `data`."""
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0))
    pixels = png_chunk(b"IDAT", zlib.compress(data))
    return b"\x89PNG\r\n\x1a\n" + header + extra + pixels + png_chunk(b"IEND", b"")


def over_white(pixels: NDArray[Any], alpha: NDArray[Any]) -> NDArray[Any]:
    return (pixels * (alpha / 255.0) + 255 * (1 - alpha / 255.0)).round()


def assert_close(found: Pixels, wanted: NDArray[Any], most: float) -> None:
    assert found.shape == wanted.shape
    assert np.abs(found.astype(float) - wanted).max() <= most
