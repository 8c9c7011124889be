"""A folder of grey validation pictures, and the record of a net that knows their classes."""

from pathlib import Path

import numpy as np
from PIL import Image

from zfnet_explainer.net.record import ClassName, Preprocessing, Record
from zfnet_explainer.pictures.stream import Tolerance

SIDE = 16
LENIENT = Tolerance(False, lambda _: None)
RECORD = Record(
    name="tiny",
    architecture="tiny",
    classes=(ClassName("n03", "c"), ClassName("n01", "a"), ClassName("n02", "b")),
    preprocessing=Preprocessing(SIDE, (0.5,) * 3, (0.5,) * 3),
    training={},
    validation={"top1": 0.5, "images": 4},
    licence="CC0-1.0",
)


def folder(path: Path, *places: str) -> Path:
    """One picture a place `CLASS/VALUE`, all of that grey value."""
    for place in places:
        file = path / "val" / f"{place}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((SIDE, SIDE, 3), int(file.stem), np.uint8)).save(file)
    return path
