"""A split read into memory, as a run reads it; nothing unreadable is tolerated unless a test says so."""

from pathlib import Path

from zfnet_explainer.pictures.labelled import Pictures, in_memory, split_listing
from zfnet_explainer.pictures.stream import Tolerance

STRICT = Tolerance(True, lambda _: None)


def read_split(data: Path, split: str, side: int, tolerance: Tolerance = STRICT) -> Pictures:
    return in_memory(split_listing(data, split, tolerance), side, tolerance)
