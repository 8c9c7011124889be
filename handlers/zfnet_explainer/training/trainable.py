"""The form that a chain takes while it is trained; `export.fold` leads back to the chain that is served."""

import copy
from collections import OrderedDict
from typing import cast

import torch
from torch import Tensor, nn

from ..net.chain import Chain
from ..net.norm import CrossMapNorm
from ..net.thin import ThinLinear, linear
from .recipe import Initialisation, Recipe

Weighted = nn.Conv2d | nn.Linear | ThinLinear


def training_form(chain: Chain, recipe: Recipe) -> nn.Sequential:
    """Rewrite a chain for training; what it can learn stays what the chain can express.

    Where the recipe says so, BatchNorm follows each weighted layer but the last (it is folded away at
    export); a max pool goes before the ReLU that it commutes with, which leaves a quarter of the values
    to rectify; the maps before Flatten are stretched to their served size, so that smaller pictures can
    be trained on.
    """
    weighted = {name: layer for name, layer in chain.named_children() if isinstance(layer, Weighted)}
    first, last = next(iter(weighted)), next(reversed(weighted))
    normalised = {name: layer for name, layer in weighted.items() if recipe.batch_norm and name != last}
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for name in _pools_before_relus(chain):
        layer = chain.layer(name)
        if isinstance(layer, nn.Flatten):
            layers["stretch"] = Stretch(_size_before_flatten(chain))
        layers[name] = _trained(layer, recipe, bias=name not in normalised)
        if name in normalised:
            layers[f"bn_{name}"] = _batch_norm(normalised[name])
    net = nn.Sequential(layers)
    _initialise(net, recipe, first, last)
    return net


@torch.no_grad()
def clip_filters(net: nn.Sequential, radius: float) -> None:
    """Scale each filter of a convolution whose root mean square is over `radius` down to it (paper, section 3)."""
    for layer in net:
        if isinstance(layer, nn.Conv2d):
            size = layer.weight.square().mean((1, 2, 3), keepdim=True).sqrt()
            layer.weight.mul_((radius / size).clamp(max=1))


class Switch(nn.Module):
    """A layer that can be left out for a while."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer, self.on = layer, True

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.layer(x)) if self.on else x


class Stretch(nn.Module):
    """Repeat the cells of a map smaller than the served net's until it has the served net's size."""

    def __init__(self, size: tuple[int, int]) -> None:
        super().__init__()
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        return x if x.shape[-2:] == self.size else nn.functional.interpolate(x, self.size)


def _pools_before_relus(chain: Chain) -> list[str]:
    """The names of the chain's layers, each max pool moved before the ReLU that it follows."""
    names: list[str] = []
    for name, layer in chain.named_children():
        commutes = isinstance(layer, nn.MaxPool2d) and names and isinstance(chain.layer(names[-1]), nn.ReLU)
        names.insert(-1 if commutes else len(names), name)
    return names


def _trained(layer: nn.Module, recipe: Recipe, bias: bool) -> nn.Module:
    """What a layer is while it is trained; `bias` False where the BatchNorm after it has one."""
    if isinstance(layer, nn.Conv2d):
        copied = copy.deepcopy(layer).to(memory_format=torch.channels_last)
        return copied if bias else _without_bias(copied)
    if isinstance(layer, nn.Linear | ThinLinear):
        rank = layer.rank if isinstance(layer, ThinLinear) else None
        return linear(layer.in_features, layer.out_features, rank, bias)
    if isinstance(layer, nn.Dropout):
        return nn.Dropout(recipe.dropout)
    if isinstance(layer, CrossMapNorm):
        return Switch(copy.deepcopy(layer))
    return layer


def _without_bias(layer: nn.Conv2d) -> nn.Conv2d:
    layer.register_parameter("bias", None)
    return layer


def _batch_norm(layer: Weighted) -> nn.Module:
    """BatchNorm of a layer's outputs."""
    if isinstance(layer, nn.Conv2d):
        return nn.BatchNorm2d(layer.out_channels)
    return nn.BatchNorm1d(layer.out_features)


def _initialise(net: nn.Sequential, recipe: Recipe, first: str, last: str) -> None:
    """Normal weights, biases zero."""
    kind = recipe.initialisation
    for name, parameter in net.named_parameters():
        layer = name.partition(".")[0]
        if isinstance(net.get_submodule(layer), nn.BatchNorm1d | nn.BatchNorm2d):
            continue
        if name.endswith("bias"):
            nn.init.zeros_(parameter)
        elif layer == first:
            nn.init.normal_(parameter, std=recipe.first_deviation)
        elif kind == Initialisation.PAPER or layer == last:
            nn.init.normal_(parameter, std=1e-2)
        else:
            nn.init.kaiming_normal_(parameter, nonlinearity="relu" if kind == Initialisation.HE else "linear")


def _size_before_flatten(chain: Chain) -> tuple[int, int]:
    last = chain.axes[next(name for name in reversed(chain.spatial) if name in chain.axes)]
    return last[0].size_out, last[1].size_out
