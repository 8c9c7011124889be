"""Pictures made for tests."""

import io
import struct
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

MODEL_STORE = Path(__file__).parents[1] / "model_store"
SAMPLE = MODEL_STORE / "samples" / "church.jpg"


def noise(height: int = 224, width: int = 224, seed: int = 0) -> NDArray[np.uint8]:
    """A smooth random picture [height, width, 3] with a coarse structure that a net can answer to."""
    coarse = np.random.default_rng(seed).integers(0, 256, (7, 7, 3), dtype=np.uint8)
    return np.array(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


def saved(image: Image.Image, file_format: str = "PNG", **options: Any) -> bytes:
    """The file's bytes."""
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def encoded(pixels: NDArray[np.uint8], file_format: str = "PNG") -> bytes:
    """The picture as the bytes of a file."""
    return saved(Image.fromarray(pixels), file_format)


def png_chunk(kind: bytes, data: bytes) -> bytes:
    """A chunk of a PNG with its length and checksum."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def tiff(bits: int, samples: int, data: bytes, more: Mapping[int, Sequence[int] | bytes] | None = None) -> bytes:
    """An uncompressed little-endian TIFF of 4 x 4 pixels: grey, or grey with premultiplied alpha.

    The pixels begin at byte 8. `more` is entries of its directory, besides those or in their place; an empty one is
    left out.
    """
    entries: dict[int, Sequence[int] | bytes] = {
        256: [4], 257: [4], 258: [bits] * samples, 259: [1], 262: [1], 273: [8], 277: [samples], 278: [4],
        279: [len(data)], **({338: [1]} if samples == 2 else {}), **(more or {}),
    }  # fmt: skip
    entries = {tag: told for tag, told in entries.items() if told}
    start = 8 + len(data)
    directory, values = struct.pack("<H", len(entries)), b""
    end = start + 2 + 12 * len(entries) + 4
    for tag, told in sorted(entries.items()):
        kind, form = (1, "B") if isinstance(told, bytes) else (3, "H") if max(told) < 2**16 else (4, "L")
        value = struct.pack(f"<{len(told)}{form}", *told)
        if len(value) > 4:
            value, values = struct.pack("<L", end + len(values)), values + value
        directory += struct.pack("<HHL", tag, kind, len(told)) + value.ljust(4, b"\0")
    return b"II*\0" + struct.pack("<L", start) + data + directory + bytes(4) + values
