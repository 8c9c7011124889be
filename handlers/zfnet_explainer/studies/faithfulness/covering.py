"""Does the strongest map answer to what its projection shows? Cover that, and see how far the map falls."""

from collections.abc import Sequence
from dataclasses import astuple, dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ...net.chain import Chain
from ..statistics import Estimate, mean_estimate
from .cells import closeness, largest_share
from .subject import Subject

OWN, MIDDLE, MOVED = "its projection's region", "the middle of the field", "a random region"
SHARE = 0.1
SMOOTHING = 9
MOVES = 4


@dataclass(frozen=True)
class Fall:
    """Shares that a map loses: of its value at the projected cell, of its largest value, of its sum."""

    at_cell: float
    largest: float
    total: float


@dataclass(frozen=True)
class MeanFall:
    """`Fall` over all pictures."""

    at_cell: Estimate
    largest: Estimate
    total: Estimate


@torch.inference_mode()
def falls(chain: Chain, subject: Subject, fill: Tensor, generator: torch.Generator) -> dict[str, Fall]:
    """Cover a tenth of the receptive field of the subject's projection, in three ways, and measure its map.

    Its projection's region has the most energy over 9 x 9 pixels. A random region is the same pattern
    moved at random within the field, and wrapped at the field's edges: the mean of four moves. A map that was
    silent before has nothing to lose: 0.
    """
    box = subject.feature.receptive_field
    regions = _regions(subject.feature.projection[:, *box.slices].square().sum(0), generator)
    covered = torch.zeros(len(regions), *subject.image.shape[1:], dtype=torch.bool, device=fill.device)
    covered[:, *box.slices] = regions.to(fill.device)
    maps = _map(chain, torch.where(covered[:, None], fill, subject.image), subject.feature.feature)
    clean = subject.clean.outputs[chain.features[-1]][:, subject.feature.feature]
    left, before = (_sizes(of, subject.feature.position) for of in (maps, clean))
    lost = torch.where(before > 0, 1 - left / before, 0)
    own, middle, moved = lost[0], lost[1], lost[2:].mean(0)
    return {OWN: Fall(*own.tolist()), MIDDLE: Fall(*middle.tolist()), MOVED: Fall(*moved.tolist())}


def mean_falls(found: Sequence[dict[str, Fall]], seed: int) -> dict[str, MeanFall]:
    """Means over at least two pictures; `seed` draws the resamples of the intervals."""
    values = {name: np.array([astuple(one[name]) for one in found]) for name in found[0]}
    return {name: MeanFall(*(mean_estimate(column, seed) for column in columns.T)) for name, columns in values.items()}


def _regions(energy: Tensor, generator: torch.Generator) -> Tensor:
    """Masks [2 + moves, h, w] of a tenth of a field: where most energy [h, w] is, the middle, the first one moved."""
    smooth = functional.avg_pool2d(energy[None, None], SMOOTHING, 1, SMOOTHING // 2, count_include_pad=False)[0, 0]
    own = largest_share(smooth, SHARE, generator)
    middle = largest_share(closeness(*energy.shape), SHARE, generator)
    return torch.stack([own, middle, *_moved(own, generator)])


def _sizes(maps: Tensor, cell: tuple[int, int]) -> Tensor:
    """Of maps [n, rows, cols] the value at the cell, the largest and the sum: [n, 3]."""
    row, col = cell
    return torch.stack([maps[:, row, col], maps.amax((1, 2)), maps.sum((1, 2))], 1)


def _moved(region: Tensor, generator: torch.Generator) -> list[Tensor]:
    moves = [[int(torch.randint(n, (1,), generator=generator)) for n in region.shape] for _ in range(MOVES)]
    return [region.roll(move, (0, 1)) for move in moves]


def _map(chain: Chain, pictures: Tensor, feature: int) -> Tensor:
    """One map of the last feature layer for pictures [n, channels, h, w]: [n, rows, cols]."""
    *_, (_, maps) = chain.outputs(pictures, upto=chain.features[-1])
    return maps[:, feature]
