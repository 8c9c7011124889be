"""How often a net is right about labelled pictures."""

import torch
from torch import nn
from torch.nn import functional

from ..net.checkpoint import Preprocessing
from .data import Pictures


@torch.inference_mode()
def top1(net: nn.Module, pictures: Pictures, preprocessing: Preprocessing, side: int, batch: int = 64) -> float:
    """Share of pictures whose most probable class is theirs: one view, the whole square at `side` pixels."""
    device = next(net.parameters()).device
    net.eval()
    right = 0
    for start in range(0, len(pictures), batch):
        images = pictures.images[start : start + batch].to(device)
        if side != images.shape[-1]:
            images = functional.interpolate(images, (side, side), mode="bilinear", antialias=True)
        x = preprocessing.standardise(images).contiguous(memory_format=torch.channels_last)
        right += int((net(x).argmax(1).cpu() == pictures.labels[start : start + batch]).sum())
    return right / len(pictures)
