"""A net's answers to labelled pictures, and how often they are right."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..net.checkpoint import Preprocessing
from ..pictures.labelled import Source


@torch.inference_mode()
def logits(
    net: nn.Module, pictures: Source, preprocessing: Preprocessing, side: int, batch: int = 64,
    advance: Callable[[int], object] = lambda _: None,
) -> Tensor:  # fmt: skip
    """Logits float32 [n, classes], on the CPU, of one view: the whole square at `side` pixels.

    `advance` hears after each batch how many pictures it held.
    """
    device = next(net.parameters()).device
    net.eval()
    found = []
    for start in range(0, len(pictures), batch):
        indices = range(start, min(start + batch, len(pictures)))
        x = torch.stack([pictures.picture(i) for i in indices]).to(device).float()  # CUDA resizes no bytes
        if side != x.shape[-1]:
            x = functional.interpolate(x, (side, side), mode="bilinear", antialias=True)
        x = preprocessing.standardise(x).contiguous(memory_format=torch.channels_last)
        found.append(net(x).float())
        advance(len(indices))
    return torch.cat(found).cpu()


def top1(net: nn.Module, pictures: Source, preprocessing: Preprocessing, side: int, batch: int = 64) -> float:
    """Share of pictures whose most probable class is theirs: one view, the whole square at `side` pixels."""
    right = logits(net, pictures, preprocessing, side, batch).argmax(1) == pictures.labels
    return int(right.sum()) / len(right)
