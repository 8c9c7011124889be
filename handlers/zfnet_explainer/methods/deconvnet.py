"""Deconvnet projections (Zeiler & Fergus section 2.1): one activation carried back to the pixels."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..net.chain import Activations, Chain
from ..net.geometry import Box

CONVENTIONS = {
    "start": "the map's single largest activation, all other values of the layer zero",
    "unpooling": "values go to the recorded switches; where two cells took the same value they are added",
    "rectification": "negative values are set to zero before each transposed convolution",
    "filtering": "transposed convolution with the layer's own filters, no biases",
    "normalisation": "passed through unchanged on the way down",
    "border": "the receptive field is cut to the picture",
    "others": "the same map's largest activations over the pictures that the atlas was built from, one a picture",
    "units": "activation units per standardised pixel value, signed; pictures show them divided by the 99.5th "
    "percentile of their size",
}


@dataclass(frozen=True)
class Feature:
    """One map of a layer in one picture, at its largest value (the first one in reading order).

    `projection` is float32 [channels, height, width] over the whole picture, zero outside
    `receptive_field`; `position` is (row, column) in the map.
    """

    feature: int
    activation: float
    position: tuple[int, int]
    receptive_field: Box
    projection: Tensor


def strongest(maps: Tensor, count: int) -> list[int]:
    """Indices of the `count` maps [n, h, w] with the largest single value, ties to the lower index."""
    order = torch.sort(maps.flatten(1).amax(1), descending=True, stable=True).indices
    return [int(i) for i in order[:count]]


def project(chain: Chain, activations: Activations, layer: str, features: list[int]) -> list[Feature]:
    """Project each listed map of `layer` (a rectified convolution) from its largest activation.

    `activations` are those of one picture (batch 1). Raises ValueError for a map that is not there.
    """
    maps = activations.outputs[layer][0]
    wrong = [f for f in features if not 0 <= f < len(maps)]
    if wrong:
        raise ValueError(f"layer {layer} has maps 0 to {len(maps) - 1}, not {wrong[0]}")
    values, cells = maps[features].flatten(1).max(1)
    signal = torch.zeros(len(features), *maps.shape, device=maps.device, dtype=maps.dtype)
    signal.view(len(features), len(maps), -1)[range(len(features)), features, cells] = values
    projections = down(chain, activations, layer, signal)
    found = []
    for i, feature in enumerate(features):
        row, col = divmod(int(cells[i]), maps.shape[2])
        found.append(
            Feature(feature, float(values[i]), (row, col), chain.receptive_field(layer, row, col), projections[i])
        )
    return found


def down(chain: Chain, activations: Activations, layer: str, signal: Tensor) -> Tensor:
    """Carry a signal [n, maps, h, w] from `layer` down to the pixels [n, channels, height, width]."""
    for name in chain.below(layer):
        below = chain.layer(name)
        if isinstance(below, nn.ReLU):
            signal = signal.clamp_min(0)
        elif isinstance(below, nn.Conv2d):
            signal = _filter(chain, name, below.weight, below.groups, signal)
        elif isinstance(below, nn.MaxPool2d):
            signal = _unpool(chain, name, activations.switches[name], signal)
        elif isinstance(below, nn.AvgPool2d):
            vertical, horizontal = chain.axes[name]
            share = 1 / (vertical.kernel * horizontal.kernel)
            spread = signal.new_full((signal.shape[1], 1, vertical.kernel, horizontal.kernel), share)
            signal = _filter(chain, name, spread, signal.shape[1], signal)
    return signal


def _filter(chain: Chain, name: str, weight: Tensor, groups: int, signal: Tensor) -> Tensor:
    vertical, horizontal = chain.axes[name]
    reached = [(a.size_out - 1) * a.stride + a.kernel - 2 * a.padding for a in (vertical, horizontal)]
    rest = (vertical.size_in - reached[0], horizontal.size_in - reached[1])
    return functional.conv_transpose2d(
        signal,
        weight,
        None,
        (vertical.stride, horizontal.stride),
        (vertical.padding, horizontal.padding),
        rest,
        groups,
    )


def _unpool(chain: Chain, name: str, switches: Tensor, signal: Tensor) -> Tensor:
    vertical, horizontal = chain.axes[name]
    flat = signal.new_zeros(*signal.shape[:2], vertical.size_in * horizontal.size_in)
    flat.scatter_add_(2, switches.flatten(2).expand(len(signal), -1, -1), signal.flatten(2))
    return flat.view(*signal.shape[:2], vertical.size_in, horizontal.size_in)
