"""A net as a chain of named layers: what every method reads, whatever the net's name."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from .geometry import Axis, Box
from .norm import CrossMapNorm
from .thin import ThinLinear

SPATIAL = (nn.Conv2d, nn.ReLU, nn.MaxPool2d, nn.AvgPool2d, CrossMapNorm, nn.Dropout)
DENSE = (nn.Linear, ThinLinear, nn.ReLU, nn.Dropout)


class UnsupportedLayer(ValueError):
    """A layer, or an order of layers, that a chain cannot express."""


@dataclass(frozen=True)
class Activations:
    """One forward pass: `outputs[name]` of every layer and `switches[name]` of every max pool.

    A switch is the index, in the flattened map, of the value that a pooled cell took.
    """

    outputs: dict[str, Tensor]
    switches: dict[str, Tensor]


class Chain(nn.Sequential):
    """Spatial layers, one flatten, dense layers, on pictures of one size [channels, height, width].

    Spatial: Conv2d, ReLU, MaxPool2d, AvgPool2d, CrossMapNorm, Dropout. Dense: Linear, ThinLinear, ReLU, Dropout.
    Each convolution is followed by its ReLU; "layer n" is the rectified output of convolution n.
    Raises UnsupportedLayer for anything else, naming the layer.
    """

    def __init__(self, layers: Iterable[tuple[str, nn.Module]], input_size: tuple[int, int, int]) -> None:
        super().__init__()
        for name, layer in layers:
            self.add_module(name, layer)
        self.input_size = input_size
        names = list(self._modules)
        flats = [name for name, layer in self.named_children() if isinstance(layer, nn.Flatten)]
        if len(flats) != 1:
            raise UnsupportedLayer(f"a chain has exactly one Flatten, this one has {len(flats)}")
        split = names.index(flats[0])
        self.spatial, self.flatten_name, self.dense = names[:split], flats[0], names[split + 1 :]
        for name in self.spatial:
            _check_spatial(name, self.layer(name))
        for name in self.dense:
            if not isinstance(self.layer(name), DENSE):
                raise UnsupportedLayer(f"{name}: {type(self.layer(name)).__name__} cannot stand after Flatten")
        if not self._linear:
            raise UnsupportedLayer("a chain has a linear layer after Flatten, which scores the classes")
        self.features = self._feature_layers()
        self.axes = self._trace_axes()

    def layer(self, name: str) -> nn.Module:
        return self.get_submodule(name)

    @property
    def classes(self) -> int:
        """How many classes the last linear layer scores."""
        return self._linear[-1].out_features

    @property
    def map_counts(self) -> tuple[int, ...]:
        """How many maps each feature layer has."""
        convolutions = [layer for layer in self if isinstance(layer, nn.Conv2d)]
        return tuple(layer.out_channels for layer in convolutions)

    @property
    def _linear(self) -> list[nn.Linear | ThinLinear]:
        return [layer for layer in self if isinstance(layer, nn.Linear | ThinLinear)]

    def run(self, x: Tensor) -> Activations:
        """Evaluate pictures [batch, channels, height, width] and keep what every layer gave."""
        outputs: dict[str, Tensor] = {}
        switches: dict[str, Tensor] = {}
        for name, layer in self.named_children():
            if isinstance(layer, nn.MaxPool2d):
                x, switches[name] = functional.max_pool2d(
                    x,
                    layer.kernel_size,
                    layer.stride,
                    layer.padding,
                    ceil_mode=layer.ceil_mode,
                    return_indices=True,
                )
            else:
                x = layer(x)
            outputs[name] = x
        return Activations(outputs, switches)

    def below(self, name: str) -> Iterator[str]:
        """The layers from `name` down to the pixels, `name` first."""
        yield from reversed(self.spatial[: self.spatial.index(name) + 1])

    def receptive_field(self, name: str, row: int, col: int) -> Box:
        """The pixels that cell (row, col) of a spatial layer can depend on, cut to the picture."""
        rows, cols = (row, row + 1), (col, col + 1)
        for below in self.below(name):
            if below in self.axes:
                vertical, horizontal = self.axes[below]
                rows, cols = vertical.seen(rows), horizontal.seen(cols)
        return Box(rows[0], cols[0], rows[1], cols[1])

    def _feature_layers(self) -> list[str]:
        """Names of the ReLUs that follow the convolutions, in order: feature layer n is entry n - 1."""
        found = []
        for name, after in zip(self.spatial, [*self.spatial[1:], self.flatten_name], strict=True):
            if isinstance(self.layer(name), nn.Conv2d):
                if not isinstance(self.layer(after), nn.ReLU):
                    raise UnsupportedLayer(f"{name}: a convolution is followed by its ReLU, not by {after}")
                found.append(after)
        if not found:
            raise UnsupportedLayer("a chain has at least one convolution before Flatten")
        return found

    def _trace_axes(self) -> dict[str, tuple[Axis, Axis]]:
        """(vertical, horizontal) geometry of each convolution and pool, sizes as torch computes them."""
        axes: dict[str, tuple[Axis, Axis]] = {}
        x = torch.empty(1, *self.input_size, device="meta")
        for name in self.spatial:
            layer = self.layer(name)
            out = _shape_of(layer, x)
            if isinstance(layer, nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d):
                kernel, stride, padding = (_pair(v) for v in (layer.kernel_size, layer.stride, layer.padding))
                vertical, horizontal = (
                    Axis(kernel[i], stride[i], padding[i], x.shape[2 + i], out.shape[2 + i]) for i in (0, 1)
                )
                axes[name] = vertical, horizontal
            x = out
        return axes


def as_chain(net: nn.Module, input_size: tuple[int, int, int]) -> Chain:
    """Rewrite nested `nn.Sequential`s as a chain that shares their weights, in eval mode.

    LocalResponseNorm becomes CrossMapNorm, an in-place ReLU a plain one, and an adaptive average
    pool that changes nothing at `input_size` is dropped. Raises UnsupportedLayer for the rest.
    torchvision's AlexNet: `as_chain(nn.Sequential(a.features, a.avgpool, nn.Flatten(), a.classifier),
    (3, 224, 224))`.
    """
    layers: list[tuple[str, nn.Module]] = []
    x = torch.empty(1, *input_size, device="meta")
    for name, layer in _leaves(net):
        if isinstance(layer, nn.LocalResponseNorm):
            layer = CrossMapNorm(x.shape[1], layer.size, layer.alpha, layer.beta, layer.k)
        elif isinstance(layer, nn.ReLU):
            layer = nn.ReLU()
        elif isinstance(layer, nn.AdaptiveAvgPool2d):
            if _pair(layer.output_size) != tuple(x.shape[2:]):
                raise UnsupportedLayer(f"{name}: this average pool changes the size at input {input_size}")
            continue
        x = _shape_of(layer, x)
        layers.append((name.replace(".", "_"), layer))
    return Chain(layers, input_size).eval()


def _leaves(net: nn.Module, prefix: str = "") -> Iterator[tuple[str, nn.Module]]:
    for name, layer in net.named_children():
        if isinstance(layer, nn.Sequential):
            yield from _leaves(layer, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", layer


def _check_spatial(name: str, layer: nn.Module) -> None:
    kind = type(layer).__name__
    if not isinstance(layer, SPATIAL):
        raise UnsupportedLayer(
            f"{name}: {kind} cannot stand before Flatten; a chain has convolutions, ReLU, max and average "
            "pools, cross-map normalisation and dropout (fold BatchNorm into the convolution before it)"
        )
    if isinstance(layer, nn.Conv2d | nn.MaxPool2d) and set(_pair(layer.dilation)) != {1}:
        raise UnsupportedLayer(f"{name}: dilation {layer.dilation} is not supported")
    if isinstance(layer, nn.Conv2d) and (layer.padding_mode != "zeros" or isinstance(layer.padding, str)):
        raise UnsupportedLayer(f"{name}: padding must be numbers, filled with zeros")
    if isinstance(layer, nn.AvgPool2d) and (
        layer.ceil_mode or layer.divisor_override or (_pair(layer.padding) != (0, 0) and not layer.count_include_pad)
    ):
        raise UnsupportedLayer(f"{name}: an average pool divides by its whole window (no ceil mode, pads counted)")


def _shape_of(layer: nn.Module, x: Tensor) -> Tensor:
    """The layer's output for a meta tensor: shapes without arithmetic, weights left where they are."""
    if isinstance(layer, nn.Conv2d):
        weight = torch.empty_like(layer.weight, device="meta")
        return functional.conv2d(x, weight, None, layer.stride, layer.padding, layer.dilation, layer.groups)
    if isinstance(layer, nn.Linear | ThinLinear):
        return torch.empty(*x.shape[:-1], layer.out_features, device="meta")
    return x if isinstance(layer, CrossMapNorm | nn.BatchNorm2d) else cast(Tensor, layer(x))


def _pair(value: int | str | tuple[int | None, ...] | None) -> tuple[int, int]:
    if isinstance(value, tuple):
        return cast(tuple[int, int], value)
    return cast(tuple[int, int], (value, value))
