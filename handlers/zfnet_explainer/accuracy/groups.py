"""How well a net tells the classes of a group from each other, such as breeds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ..atomic import read_json
from ..messages import QUOTE, some
from ..net.record import ClassName

Groups = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class GroupAccuracy:
    """The pictures of a group's classes, and how many of them are right: of these classes alone, and of all."""

    name: str
    classes: int
    images: int
    right_within: int
    right: int


def read_groups(path: Path, classes: Sequence[ClassName]) -> Groups:
    """The class indices of each group of a JSON file {"GROUP": ["SYNSET", ...], ...}.

    Raises ValueError for a file that is none, for a class that the net has not, and for one that is named twice.
    """
    expected = f'{path} must be JSON: {{"GROUP": ["SYNSET", "SYNSET", ...], ...}}, two classes or more each'
    found = read_json(path, expected)
    if not isinstance(found, dict) or not found or not all(map(_is_group, found.values())):
        raise ValueError(expected)
    return {name: tuple(_index(synset, classes, path) for synset in synsets) for name, synsets in found.items()}


def group_accuracy(logits: Tensor, labels: Tensor, name: str, classes: Sequence[int]) -> GroupAccuracy:
    """Measure logits [n, classes] against labels [n] on the pictures of a group's classes."""
    members = torch.tensor(classes)
    theirs = torch.isin(labels, members)
    scores, true = logits[theirs], labels[theirs]
    within = members[scores[:, members].argmax(1)]
    right_within, right = (int((answers == true).sum()) for answers in (within, scores.argmax(1)))
    return GroupAccuracy(name, len(members), len(true), right_within, right)


def _is_group(synsets: object) -> bool:
    if not isinstance(synsets, list) or not all(isinstance(synset, str) for synset in synsets):
        return False
    return 2 <= len(synsets) == len(set(synsets))


def _index(synset: str, classes: Sequence[ClassName], path: Path) -> int:
    known = [name.synset for name in classes]
    if synset not in known:
        raise ValueError(f"{path}: {QUOTE.repr(synset)} is no class of this net, which knows {some(known)}")
    return known.index(synset)
