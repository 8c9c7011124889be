"""Layers as torch's nets have them -> those that a chain has, which compute the same."""

import copy
from collections.abc import Iterator

from torch import nn

from .layers import UnsupportedLayer, pair
from .norm import CrossMapNorm

# What does nothing in eval mode.
IDLE = (nn.Identity, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout)


def leaves(net: nn.Module, prefix: str = "") -> Iterator[tuple[str, nn.Module]]:
    """The layers of nested `nn.Sequential`s in their order, by dotted names, without those that are idle.

    A layer that comes again is given again.
    """
    for name, layer in net.named_modules(remove_duplicate=False):
        if not name or "." in name:
            continue
        if isinstance(layer, nn.Sequential):
            yield from leaves(layer, f"{prefix}{name}.")
        elif type(layer) not in IDLE:
            yield f"{prefix}{name}", layer


def plain(name: str, layer: nn.Module, channels: int, size: tuple[int, int]) -> nn.Module | None:
    """What computes the same in eval mode on maps of so many channels and this size; None for what does nothing.

    A layer that a chain has is copied: its weights are shared, its mode is its own. Raises UnsupportedLayer.
    """
    kind = type(layer)  # of a subclass nobody knows what it computes
    if kind is nn.ReLU:
        return nn.ReLU()
    if isinstance(layer, nn.Dropout) and kind is nn.Dropout:
        return nn.Dropout(layer.p)
    if isinstance(layer, nn.LocalResponseNorm) and kind is nn.LocalResponseNorm:
        return _norm(name, layer, channels)
    if isinstance(layer, nn.AdaptiveAvgPool2d) and kind is nn.AdaptiveAvgPool2d:
        return _average(name, layer, size)
    return copy.copy(layer)


def _norm(name: str, layer: nn.LocalResponseNorm, channels: int) -> CrossMapNorm:
    try:
        return CrossMapNorm(channels, layer.size, layer.alpha, layer.beta, layer.k)
    except ValueError as error:
        raise UnsupportedLayer(f"{name}: {error}") from error


def _average(name: str, layer: nn.AdaptiveAvgPool2d, size: tuple[int, int]) -> nn.AvgPool2d | None:
    rows, cols = (whole if cells is None else cells for cells, whole in zip(pair(layer.output_size), size, strict=True))
    if (rows, cols) == size:
        return None
    pool = f"{name}: an adaptive average pool of {size[0]} x {size[1]} cells to {rows} x {cols}"
    if rows > size[0] or cols > size[1]:
        raise UnsupportedLayer(f"{pool} has less to read than it gives: take larger pictures, or let it give fewer")
    if size[0] % rows or size[1] % cols:
        raise UnsupportedLayer(f"{pool} has windows of several sizes: use nn.AvgPool2d")
    return nn.AvgPool2d((size[0] // rows, size[1] // cols))
