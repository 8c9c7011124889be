"""The validation pictures that a trained net is studied on."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from ...messages import some
from ...net.record import Record
from ...pictures.labelled import MEMORY_LIMIT, Source, StoredPictures, open_split
from ...pictures.stream import Tolerance


def validation_pictures(data: Path, record: Record, tolerance: Tolerance) -> tuple[Source, Tensor]:
    """The pictures of `data/val/CLASS/*` (or of tar shards), and their labels [n] in the net's order of classes.

    Raises ValueError for a folder that is none of the net's classes, for fewer than two pictures, and for
    more that cannot be read than are tolerated.
    """
    source = open_split(data, "val", record.preprocessing, MEMORY_LIMIT, tolerance)
    if isinstance(source, StoredPictures):
        source = source.readable(tolerance)
    if len(source) < 2:
        raise ValueError(f"{data} holds one validation picture: a study needs at least two")
    known = [name.synset for name in record.classes]
    strange = [folder for folder in source.classes if folder not in known]
    if strange:
        raise ValueError(f"val/{strange[0]} is no class of this net, which knows {some(known)}")
    if lacking := [synset for synset in known if synset not in source.classes]:
        tolerance.remark(f"{data}/val has no picture of {some(lacking)}")
    return source, torch.tensor([known.index(folder) for folder in source.classes])[source.labels]


def sample(source: Source, count: int, seed: int) -> Tensor:
    """`count` of the pictures in a random order, all where there are fewer: uint8 [n, 3, side, side]."""
    return _pictures(source, _drawn(torch.arange(len(source)), count, seed))


def places_of(synsets: Sequence[str] | None, labels: Tensor, record: Record) -> Tensor:
    """Where the pictures of some classes, None for all, stand among `labels` in the net's order of classes [n].

    Raises ValueError for what is no class of the net, and for fewer than two pictures.
    """
    known = [name.synset for name in record.classes]
    if strange := [synset for synset in synsets or () if synset not in known]:
        raise ValueError(f"{strange[0]!r} is no class of this net, which knows {some(known)}")
    wanted = torch.tensor([known.index(synset) for synset in synsets or known])
    places = torch.isin(labels, wanted).nonzero().flatten()
    if len(places) < 2:
        raise ValueError(f"a study needs at least two pictures: these classes have {len(places)}")
    return places


def labelled_sample(source: Source, labels: Tensor, places: Tensor, count: int, seed: int) -> tuple[Tensor, Tensor]:
    """`count` of the pictures at `places`, drawn by the seed, and their labels [n]."""
    drawn = _drawn(places, count, seed)
    return _pictures(source, drawn), labels[drawn]


def _drawn(places: Tensor, count: int, seed: int) -> Tensor:
    return places[torch.randperm(len(places), generator=torch.Generator().manual_seed(seed))[:count]]


def _pictures(source: Source, places: Tensor) -> Tensor:
    return torch.stack([source.picture(i) for i in places.tolist()])
