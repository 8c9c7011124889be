"""Deconvnet projections (Zeiler & Fergus section 2.1): one activation carried back to the pixels."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor, nn

from ..net.chain import Activations, Chain
from ..net.device import without_autocast
from ..net.geometry import Box
from ..net.layers import UnsupportedLayer
from ..net.norm import CrossMapNorm
from .windows import Windows

Cell = tuple[int, int, int]  # map, row and column

PASSED_THROUGH = CrossMapNorm, nn.Dropout  # layers that leave the signal as it is
MEMORY = 128 << 20  # bytes of projections that go down together: more are no faster on a CPU
COPIES = 3  # of a projection's widest windows at a time: what a convolution reads, its transpose, what is left of that

CONVENTIONS = {
    "start": "the map's single largest activation, all other values of the layer zero",
    "unpooling": "values go to the recorded switches; where two cells took the same value they are added",
    "rectification": "negative values are set to zero before each transposed convolution",
    "filtering": "transposed convolution with the layer's own filters, no biases",
    "normalisation": "passed through unchanged on the way down",
    "border": "the receptive field is cut to the picture",
    "others": "the same map's largest activations over the pictures that the atlas was built from, one a picture",
    "units": "activation units squared per standardised pixel value, signed, as the start is the activation: divide by "
    "`activation` for the value per activation; each picture divides them by the 99.5th percentile of its values' size",
}


@dataclass(frozen=True, eq=False)
class Feature:
    """One map of a layer in one picture, at its largest value (the first one in reading order).

    `projection` [channels, height, width] lies over the whole picture, zero outside `receptive_field`: on the CPU, in
    the precision of the activations (an Explainer's: float32), with memory of its own. `position` is (row, column) in
    the map.
    """

    feature: int
    activation: float
    position: tuple[int, int]
    receptive_field: Box
    projection: Tensor


def strongest(maps: Tensor, count: int) -> list[int]:
    """Indices of the `count` maps [n, h, w] with the largest single value, ties to the lower index."""
    order = torch.sort(maps.flatten(1).amax(1), descending=True, stable=True).indices
    found: list[int] = order[:count].tolist()
    return found


def project(chain: Chain, activations: Activations, layer: str, features: list[int]) -> list[Feature]:
    """Project each listed map of `layer` (a rectified convolution) from its largest activation.

    `activations` are those of one picture (batch 1). Raises ValueError for those of several, whose switches would
    mix, and for a layer or a map that is not there.
    """
    chain.check_maps(layer, features)
    if (pictures := len(activations.outputs[layer])) != 1:
        raise ValueError(f"activations of one picture are projected, these are of {pictures}")
    return list(project_each(chain, activations, layer, [(0, feature) for feature in features]))


@torch.no_grad()
def project_each(
    chain: Chain, activations: Activations, layer: str, wanted: Sequence[tuple[int, int]]
) -> Iterator[Feature]:
    """Project each wanted (picture of the batch, map of `layer`) from its largest activation.

    Each is what `project` finds for that picture alone. As many go down together as take about `MEMORY` bytes.
    """
    many = max(1, MEMORY // _held(chain, activations, layer))
    for start in range(0, len(wanted), many):
        yield from _together(chain, activations, layer, wanted[start : start + many])


def _held(chain: Chain, activations: Activations, layer: str) -> int:
    """About how many bytes a projection takes on its way down, with switches of its own where pictures are several."""
    maps, height, width = chain.map_counts[chain.features.index(layer)], 1, 1
    widest = prod(chain.input_size)
    for name in (name for name in chain.below(layer) if name in chain.axes):
        below, (vertical, horizontal) = chain.layer(name), chain.axes[name]
        maps = below.in_channels if isinstance(below, nn.Conv2d) else maps
        widest = max(widest, maps * vertical.span(height) * horizontal.span(width))
        height, width = vertical.reach(height), horizontal.reach(width)
    own_switches = sum(recorded[0].nbytes for recorded in activations.switches.values() if len(recorded) > 1)
    return COPIES * widest * activations.outputs[layer].element_size() + own_switches


@without_autocast()
def _together(chain: Chain, activations: Activations, layer: str, wanted: Sequence[tuple[int, int]]) -> list[Feature]:
    """`project_each` at once."""
    pictures, features = (list(column) for column in zip(*wanted, strict=True))
    maps = activations.outputs[layer]
    values, positions = maps[pictures, features].flatten(1).max(1)
    cells = [(feature, *divmod(at, maps.shape[3])) for feature, at in zip(features, positions.tolist(), strict=True)]
    # Those of a single picture serve all of its maps, and are not copied for each.
    switches = {
        name: recorded if len(recorded) == 1 else recorded[pictures] for name, recorded in activations.switches.items()
    }
    projections = _apart(down(chain, switches, layer, cells, values).cpu())
    return [
        Feature(feature, value, (row, col), chain.receptive_field(layer, row, col), projection)
        for (feature, row, col), value, projection in zip(cells, values.tolist(), projections, strict=True)
    ]


@torch.inference_mode(False)
def _apart(projections: Tensor) -> list[Tensor]:
    """Each with memory of its own, so that whoever keeps one keeps no other, and may change it."""
    return [one.detach().clone() for one in projections]


def down(chain: Chain, switches: Mapping[str, Tensor], layer: str, cells: Sequence[Cell], values: Tensor) -> Tensor:
    """Carry `values` [n] of a layer's single `cells` down to the pixels [n, channels, height, width].

    `switches` are those of one picture for all cells, or of one for each. Raises UnsupportedLayer for a layer that
    no way down is known through.
    """
    features, rows, cols = zip(*cells, strict=True)
    maps = chain.map_counts[chain.features.index(layer)]
    signal = values.new_zeros(len(cells), maps, 1, 1)
    signal[range(len(cells)), features, 0, 0] = values
    windows = Windows(signal, rows, cols)
    for name in chain.below(layer):
        below = chain.layer(name)
        if isinstance(below, nn.ReLU):
            windows = windows.rectified()
        elif isinstance(below, nn.Conv2d):
            windows = windows.filtered(chain.axes[name], below.weight, below.groups)
        elif isinstance(below, nn.MaxPool2d):
            windows = windows.unpooled(chain.axes[name], switches[name])
        elif isinstance(below, nn.AvgPool2d):
            kernel = [axis.kernel for axis in chain.axes[name]]
            shares = values.new_full((windows.values.shape[1], 1, *kernel), 1 / prod(kernel))
            windows = windows.filtered(chain.axes[name], shares, len(shares))
        elif not isinstance(below, PASSED_THROUGH):
            raise UnsupportedLayer(f"{name}: no way down through a {type(below).__name__} is known")
    return windows.whole(*chain.input_size[1:])
