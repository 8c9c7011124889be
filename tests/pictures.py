"""Pictures made for tests."""

import io
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
