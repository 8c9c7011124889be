"""Pictures of the training split that are not trained on, so that a run is steered without the validation split."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256

import torch
from torch import Tensor

from ..pictures.labelled import Source


@dataclass(frozen=True)
class Part:
    """Some pictures of a source, by their indices [n], where they lie."""

    source: Source
    indices: Tensor

    @cached_property
    def labels(self) -> Tensor:
        return self.source.labels[self.indices]

    @property
    def names(self) -> tuple[str, ...]:
        names = self.source.names
        return tuple(names[i] for i in self.indices.tolist())

    @property
    def classes(self) -> tuple[str, ...]:
        return self.source.classes

    def __len__(self) -> int:
        return len(self.indices)

    def picture(self, index: int) -> Tensor:
        return self.source.picture(int(self.indices[index]))

    def batch(self, indices: Sequence[int]) -> Tensor:
        return self.source.batch(self.indices[list(indices)].tolist())

    def sample(self) -> Tensor:
        """Of the whole source: the mean of its pixels tells nothing about a class."""
        return self.source.sample()


def hold_back(source: Source, share: float) -> tuple[Part, Part]:
    """The pictures to train on, and that share of each class (at least one), chosen by a hash of their names.

    So a picture stays on its side whatever the seed. Raises ValueError for a class with a single picture.
    """
    by_class: dict[int, list[int]] = defaultdict(list)
    names = source.names
    digests = [sha256(name.encode(errors="surrogateescape")).digest() for name in names]
    for index in sorted(range(len(source)), key=digests.__getitem__):
        by_class[int(source.labels[index])].append(index)
    held = torch.zeros(len(source), dtype=torch.bool)
    for label, indices in by_class.items():
        if len(indices) == 1:
            raise ValueError(f"class {source.classes[label]} has a single picture: none can be held back")
        held[indices[: max(1, round(share * len(indices)))]] = True
    return Part(source, torch.nonzero(~held).flatten()), Part(source, torch.nonzero(held).flatten())
