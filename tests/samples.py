"""Pictures made for tests."""

import io
import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

MODEL_STORE = Path(__file__).parents[1] / "model_store"
SAMPLE = MODEL_STORE / "samples" / "church.jpg"


def noise(height: int = 224, width: int = 224, seed: int = 0) -> NDArray[np.uint8]:
    """A smooth random picture [height, width, 3] with a coarse structure that a net can answer to."""
    coarse = np.random.default_rng(seed).integers(0, 256, (7, 7, 3), dtype=np.uint8)
    return np.array(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


def encoded(pixels: NDArray[np.uint8], file_format: str = "PNG") -> bytes:
    """The picture as the bytes of a file."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, file_format)
    return buffer.getvalue()


def tiff(bits: int, samples: int, data: bytes) -> bytes:
    """An uncompressed little-endian TIFF of 4 x 4 pixels: grey, or grey with premultiplied alpha."""
    entries = [(256, 4), (257, 4), (258, bits), (259, 1), (262, 1), (273, 0), (277, samples), (278, 4)]
    entries += [(279, len(data)), *([(338, 1)] if samples == 2 else [])]
    start = 8 + 2 + 12 * len(entries) + 4
    directory = b""
    for tag, value in entries:
        values = {258: [bits] * samples, 273: [start]}.get(tag, [value])
        directory += struct.pack("<HHI", tag, 3, len(values)) + struct.pack(f"<{len(values)}H", *values).ljust(4, b"\0")
    return b"II*\0" + struct.pack("<IH", 8, len(entries)) + directory + bytes(4) + data
