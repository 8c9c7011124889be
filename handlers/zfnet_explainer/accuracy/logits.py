"""A net's answers to labelled pictures, and how often they are right."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..net.device import device_of
from ..net.record import Preprocessing
from ..pictures.labelled import Source


@torch.inference_mode()
def logits(
    net: nn.Module, pictures: Source, preprocessing: Preprocessing, side: int | None = None, batch: int = 64,
    advance: Callable[[int], object] = lambda _: None,
) -> Tensor:  # fmt: skip
    """Logits float32 [n, classes], on the CPU, of one view: the whole square at `side` pixels, by default the net's.

    `advance` hears after each batch how many pictures it held.
    """
    device = device_of(net)
    side = preprocessing.size if side is None else side
    net.eval()
    found = []
    for start in range(0, len(pictures), batch):
        indices = range(start, min(start + batch, len(pictures)))
        found.append(net(inputs(pictures, indices, preprocessing, side, device)).float())
        advance(len(indices))
    return torch.cat(found).cpu()


def inputs(
    pictures: Source, indices: Sequence[int], preprocessing: Preprocessing, side: int, device: torch.device
) -> Tensor:
    """What a net is given of some pictures [n, 3, side, side]: one view, the whole square at `side` pixels."""
    x = pictures.batch(indices).to(device).float()  # CUDA resizes no bytes
    if side != x.shape[-1]:
        x = functional.interpolate(x, (side, side), mode="bilinear", antialias=True)
    return preprocessing.standardise(x).contiguous(memory_format=torch.channels_last)


def top1(net: nn.Module, pictures: Source, preprocessing: Preprocessing, side: int, batch: int = 64) -> float:
    """Share of pictures whose most probable class is theirs: one view, the whole square at `side` pixels."""
    right = logits(net, pictures, preprocessing, side, batch).argmax(1) == pictures.labels
    return int(right.sum()) / len(right)
