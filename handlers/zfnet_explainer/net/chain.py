"""A net as a chain of named layers: what every method reads, whatever the net's name."""

import copy
import math
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from .device import check_device, compute_in_float32, without_autocast
from .geometry import Axes, Box
from .layers import (
    UnsupportedLayer,
    axes_of,
    check_dense,
    check_flatten,
    check_runs_as_built,
    check_spatial,
    width_after,
)
from .plain import leaves, plain
from .thin import ThinLinear


@dataclass(frozen=True, eq=False)
class Activations:
    """One forward pass: `outputs[name]` of every layer and `switches[name]` of every max pool.

    A switch is the index, in the flattened map, of the value that a pooled cell took.
    """

    outputs: dict[str, Tensor]
    switches: dict[str, Tensor]


class Chain(nn.Sequential):
    """Spatial layers, one flatten, dense layers, on pictures of one size [channels, height, width].

    Spatial: Conv2d, ReLU, MaxPool2d, AvgPool2d, CrossMapNorm, Dropout. Dense: Linear, ThinLinear, ReLU, Dropout.
    Each convolution is followed by its ReLU; "layer n" is the rectified output of convolution n. A module that
    comes twice is two layers of the same weights. Raises UnsupportedLayer, naming the layer, for anything else, a
    subclass of these and a layer in place included, for a layer that takes another number of channels or values than
    it is given, and for a name that comes twice or that the chain itself has.

    It begins in training mode, as every module; explained is it in eval mode, in which `as_chain`, `load` and `placed`
    give it.
    """

    input_size: tuple[int, int, int]
    spatial: list[str]
    flatten_name: str
    dense: list[str]
    features: list[str]
    axes: dict[str, Axes]

    def __init__(self, layers: Iterable[tuple[str, nn.Module]], input_size: tuple[int, int, int]) -> None:
        super().__init__()
        for name, layer in layers:
            self._check_name(name)
            repeated = any(layer is one for one in self)
            self.add_module(name, copy.copy(layer) if repeated else layer)
        self.input_size = input_size
        names = [name for name, _ in self.named_children()]
        flats = [name for name, layer in self.named_children() if type(layer) is nn.Flatten]
        for name in flats:
            check_flatten(name, self.layer(name))
        if len(flats) != 1:
            raise UnsupportedLayer(f"a chain has exactly one Flatten, this one has {len(flats)}")
        split = names.index(flats[0])
        self.spatial, self.flatten_name, self.dense = names[:split], flats[0], names[split + 1 :]
        for name in self.spatial:
            check_spatial(name, self.layer(name))
        for name in self.dense:
            check_dense(name, self.layer(name))
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

    def check_maps(self, layer: str, features: Iterable[int]) -> None:
        """Raise ValueError for a name of no rectified convolution, and for maps that it does not have."""
        if layer not in self.features:
            raise ValueError(f"{layer!r} is no rectified convolution of this net: {', '.join(self.features)} are")
        count = self.map_counts[self.features.index(layer)]
        for feature in features:
            if not 0 <= feature < count:
                raise ValueError(f"layer {layer} has maps 0 to {count - 1}, not {feature}")

    def check_evaluates(self) -> None:
        """Raise ValueError in training mode."""
        if self.training:
            raise ValueError("the chain is in training mode, in which dropout leaves values out at random: .eval() it")

    @torch.inference_mode(False)
    def placed(self, device: torch.device) -> Self:
        """A copy in eval mode on a CPU or a GPU, channels last; weights that are so already share their memory.

        float32 is evaluated there as such: torch is told so for the whole process, so that a training in it loses TF32
        and cuDNN's quicker algorithms too until it sets them again. Gradients pass through the copy, whatever mode it
        or the chain was made in. Raises ValueError for a device of another kind.
        """
        check_device(device)
        compute_in_float32()
        values = [*self.parameters(), *self.buffers()]
        return copy.deepcopy(self, {id(value): _placed(value, device) for value in values}).eval()

    @property
    def _linear(self) -> list[nn.Linear | ThinLinear]:
        return [layer for layer in self if isinstance(layer, nn.Linear | ThinLinear)]

    def outputs(self, x: Tensor, upto: str | None = None) -> Iterator[tuple[str, Tensor]]:
        """What each layer gives for pictures [batch, channels, height, width], one after another.

        The last is `upto`, where it is named: what stands above is not evaluated.
        """
        for name, layer in self.named_children():
            x = layer(x)
            yield name, x
            if name == upto:
                return

    def rebuilt(self, rebuild: Callable[[nn.Module], nn.Module]) -> nn.Sequential:
        """These layers as a net of torch's own kind in eval mode, each as `rebuild` gives it."""
        return nn.Sequential(OrderedDict((name, rebuild(layer)) for name, layer in self.named_children())).eval()

    @without_autocast()
    def run(self, x: Tensor) -> Activations:
        """Evaluate pictures [batch, channels, height, width] and keep what every layer gave.

        Raises ValueError for pictures of another size than the chain's, and in training mode.
        """
        self.check_evaluates()
        if [*x.shape[1:]] != [*self.input_size]:
            raise ValueError(f"pictures are [batch, {str([*self.input_size])[1:]}, not {[*x.shape]}")
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

    def _check_name(self, name: str) -> None:
        if name in self._modules:
            raise UnsupportedLayer(f"{name}: two layers have this name (`a.b` is a_b here): rename one of them")
        if hasattr(type(self), name) or name in (*vars(self), *Chain.__annotations__):
            raise UnsupportedLayer(f"{name}: a chain has something else of this name: rename this layer")

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

    def _trace_axes(self) -> dict[str, Axes]:
        """(vertical, horizontal) geometry of each convolution and pool; each layer has to take what it is given."""
        axes: dict[str, Axes] = {}
        maps, *size = self.input_size
        for name in self.spatial:
            maps = width_after(name, self.layer(name), maps)
            if found := _axes(name, self.layer(name), (size[0], size[1]), self.input_size):
                axes[name] = found
                size = [axis.size_out for axis in found]
        values = math.prod((maps, *size))
        for name in self.dense:
            values = width_after(name, self.layer(name), values)
        return axes


def as_chain(net: nn.Module, input_size: tuple[int, int, int]) -> Chain:
    """Rewrite nested `nn.Sequential`s as a chain that shares their weights, in eval mode; the net stays in its own.

    LocalResponseNorm becomes CrossMapNorm, a layer in place a plain one, an adaptive average pool whose windows are
    all alike at `input_size` an AvgPool2d; what does nothing then is dropped. Raises UnsupportedLayer for the rest,
    and for a net that runs otherwise than its layers say (hooks, parametrizations, a forward of its own).
    torchvision's AlexNet: `as_chain(nn.Sequential(a.features, a.avgpool, nn.Flatten(), a.classifier),
    (3, 224, 224))`.
    """
    check_runs_as_built(net)
    return chained(leaves(net), input_size)


def chained(ordered: Iterable[tuple[str, nn.Module]], input_size: tuple[int, int, int]) -> Chain:
    """A net's `leaves` as a chain. Raises UnsupportedLayer as `as_chain` does."""
    layers: list[tuple[str, nn.Module]] = []
    channels, size = input_size[0], input_size[1:]
    for name, layer in ordered:
        found = plain(name, layer, channels, size)
        if found is None:
            continue
        if isinstance(found, nn.Conv2d):
            check_spatial(name, found)
            channels = found.out_channels
        if axes := _axes(name, found, size, input_size):
            size = axes[0].size_out, axes[1].size_out
        layers.append((name.replace(".", "_"), found))
    return Chain(layers, input_size).eval()


def _axes(name: str, layer: nn.Module, size: tuple[int, int], input_size: tuple[int, int, int]) -> Axes | None:
    """`axes_of` maps of this size. Raises UnsupportedLayer where nothing would be left of the net's pictures."""
    axes = axes_of(layer, size)
    if axes and min(axis.size_out for axis in axes) < 1:
        raise UnsupportedLayer(f"{name}: pictures of {input_size} are too small for it")
    return axes


def _placed(value: Tensor, device: torch.device) -> Tensor:
    """A weight on a device, channels last where there are several: in the same memory where it is so already."""
    last = value.ndim == 4 and value.shape[1] > 1
    there = value.detach().to(device, memory_format=torch.channels_last if last else torch.preserve_format)
    if value.ndim == 4 and not last:  # with the strides of channels that come last oneDNN misreads a single one
        there = there.flatten().view(there.shape)
    there = there.clone() if there.is_inference() else there  # gradients do not pass those of inference mode
    return nn.Parameter(there, value.requires_grad) if isinstance(value, nn.Parameter) else there
