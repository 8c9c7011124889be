"""Pictures drawn for a study: of all classes, or of some."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ...messages import some
from ...net.record import Record
from ...pictures.labelled import Source


def sample(source: Source, count: int, seed: int) -> Tensor:
    """`count` of the pictures in a random order, all where there are fewer: uint8 [n, 3, side, side]."""
    return source.batch(_drawn(torch.arange(len(source)), count, seed).tolist())


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
    return source.batch(drawn.tolist()), labels[drawn]


def _drawn(places: Tensor, count: int, seed: int) -> Tensor:
    return places[torch.randperm(len(places), generator=torch.Generator().manual_seed(seed))[:count]]
