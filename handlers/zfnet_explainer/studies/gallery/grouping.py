"""Figure 2's first note in numbers: a map's nine strongest pictures belong together."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ...pictures.atlas import NINE, Atlas
from ..statistics import Estimate, mean_estimate

DRAWS = 20_000


@dataclass(frozen=True)
class Grouping:
    """Of one layer: how many maps have nine pictures, and the mean class purity of their nine."""

    layer: int
    maps: int
    purity: Estimate


def grouping(atlas: Atlas, seed: int) -> list[Grouping]:
    """Class purity of the maps' nine by layer; layers in which fewer than two maps have nine are left out."""
    found = []
    for number, layer in atlas.layers.items():
        nines = [nine for nine in layer.maps.values() if len(nine) == NINE]
        if len(nines) > 1:
            shares = [purity([one.folder for one in nine]) for nine in nines]
            found.append(Grouping(number, len(nines), mean_estimate(shares, seed)))
    return found


def purity(labels: Sequence[str]) -> float:
    """Share of the labels that are the most frequent one."""
    return max(Counter(labels).values()) / len(labels)


def chance(classes: Mapping[str, int], seed: int) -> float:
    """The purity of nine pictures drawn blindly from these, by 20,000 seeded draws without replacement."""
    draws = np.random.default_rng(seed).multivariate_hypergeometric(list(classes.values()), NINE, DRAWS)
    return float(draws.max(1).mean() / NINE)
