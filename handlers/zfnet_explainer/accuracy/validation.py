"""The validation pictures that a trained net is measured on."""

from pathlib import Path

import torch
from torch import Tensor

from ..messages import some
from ..net.record import Record
from ..pictures.labelled import Source, StoredPictures, open_split
from ..pictures.memory import memory_limit
from ..pictures.stream import Tolerance


def validation_pictures(data: Path, record: Record, tolerance: Tolerance) -> tuple[Source, Tensor]:
    """The pictures of `data/val/CLASS/*` (or of tar shards), and their labels [n] in the net's order of classes.

    Raises ValueError for a folder that is none of the net's classes, for fewer than two pictures, and for
    more that cannot be read than are tolerated.
    """
    source = open_split(data, "val", record.preprocessing, memory_limit(), tolerance)
    if isinstance(source, StoredPictures):
        source = source.readable(tolerance)
    if len(source) < 2:
        raise ValueError(f"{len(source)} of {data}'s validation pictures can be read: a study needs at least two")
    known = [name.synset for name in record.classes]
    strange = [folder for folder in source.classes if folder not in known]
    if strange:
        raise ValueError(f"val/{strange[0]} is no class of this net, which knows {some(known)}")
    if lacking := [synset for synset in known if synset not in source.classes]:
        tolerance.remark(f"{data}/val has no picture of {some(lacking)}")
    return source, torch.tensor([known.index(folder) for folder in source.classes])[source.labels]
