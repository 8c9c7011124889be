"""Figure 2's second note in numbers: how far features move when the picture is shifted, scaled or turned (Figure 5)."""

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from ...explanation import Pixels
from ...net.chain import Chain
from ...net.checkpoint import Checkpoint
from ...net.device import device_of

BATCH = 16
CHANGES = {
    "shift": (4, 8, 16, 32),  # pixels down
    "scale": (1.05, 1.1, 1.2, 1.4),  # enlargement about the centre
    "rotation": (5, 10, 20, 40),  # degrees about the centre
}


@dataclass(frozen=True)
class Moved:
    """How far a layer's features move under one change: 0 not at all, 1 as far as to another picture's."""

    layer: int
    change: str
    amount: float
    distance: float


@torch.inference_mode()
def invariance(checkpoint: Checkpoint, pictures: Sequence[Pixels]) -> list[Moved]:
    """The mean Euclidean distance between the features of a picture and of the changed picture, by layer.

    As in Figure 5 of the paper, features are a layer's whole vector, positions included. Layers have different
    scales, so each distance is divided by the mean one to the next picture of the sample (its batches of 16, the
    last followed by the first). Layers are the feature layers and the last rectified one before the classes. The
    picture is sampled bilinearly and mirrored beyond its border. At least two pictures [size, size, 3].
    """
    distances: dict[tuple[int, str, float], float] = defaultdict(float)
    between: dict[int, float] = defaultdict(float)
    for batch in _batches(pictures):
        pixels = torch.stack([torch.from_numpy(p) for p in batch]).permute(0, 3, 1, 2)
        x = checkpoint.record.preprocessing.standardise(pixels.to(device_of(checkpoint.chain)))
        clean = dict(_features(checkpoint.chain, x))
        for layer, features in clean.items():
            between[layer] += _distance(features, features.roll(1, 0))
        for change, amounts in CHANGES.items():
            for amount in amounts:
                for layer, features in _features(checkpoint.chain, changed(x, change, amount)):
                    distances[layer, change, amount] += _distance(features, clean[layer])
    return [Moved(*key, total / between[key[0]]) for key, total in sorted(distances.items())]


def changed(x: Tensor, change: str, amount: float) -> Tensor:
    """Pictures [n, channels, size, size] shifted, scaled or rotated."""
    scale = 1 / amount if change == "scale" else 1.0
    angle = math.radians(amount) if change == "rotation" else 0.0
    cos, sin = scale * math.cos(angle), scale * math.sin(angle)
    down = -2 * amount / x.shape[2] if change == "shift" else 0.0
    matrix = torch.tensor([[cos, -sin, 0.0], [sin, cos, down]], device=x.device).expand(len(x), -1, -1)
    grid = functional.affine_grid(matrix, list(x.shape), align_corners=False)
    return functional.grid_sample(x, grid, mode="bilinear", padding_mode="reflection", align_corners=False)


def _batches(pictures: Sequence[Pixels]) -> Iterator[Sequence[Pixels]]:
    """Batches of 16, or one more than that where a picture would be left alone."""
    start = 0
    while start < len(pictures):
        stop = len(pictures) if len(pictures) - start <= BATCH + 1 else start + BATCH
        yield pictures[start:stop]
        start = stop


def _features(chain: Chain, x: Tensor) -> Iterator[tuple[int, Tensor]]:
    """Each layer's features [n, values], the feature layers numbered from 1, the last rectified one by its place."""
    rectified = [name for name in chain.dense if isinstance(chain.layer(name), nn.ReLU)]
    numbers = {name: number for number, name in enumerate([*chain.features, *rectified], 1)}
    for name, output in chain.outputs(x):
        if name in chain.features or name in rectified[-1:]:
            yield numbers[name], output.flatten(1)


def _distance(ours: Tensor, theirs: Tensor) -> float:
    """Sum over the pictures of the distance between their features."""
    return float((ours - theirs).norm(dim=1).double().sum())
