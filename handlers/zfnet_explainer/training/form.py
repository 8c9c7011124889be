"""The form a chain takes while it is trained, and the way back to the chain that is served."""

from collections import OrderedDict
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..net.chain import Chain


@dataclass(frozen=True)
class Form:
    """How the training form differs from the served chain.

    ranks: the rank at which a linear layer is trained, as two thinner factors, by layer name.
    batch_norm: whether each weighted layer but the last is followed by BatchNorm.
    """

    ranks: dict[str, int]
    batch_norm: bool = True


def training_form(chain: Chain, form: Form) -> nn.Sequential:
    """Rewrite a chain for training.

    Three rewrites leave the function that is learnt the same: BatchNorm stands before each ReLU
    (`served_form` folds it away), a max pool goes before the ReLU that it commutes with (a quarter
    of the values to rectify), and pool5 is stretched to its full size for smaller pictures.
    """
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    weighted = [name for name, layer in chain.named_children() if isinstance(layer, nn.Conv2d | nn.Linear)]
    for name, layer in chain.named_children():
        normalised = form.batch_norm and name in weighted[:-1]
        if isinstance(layer, nn.Conv2d):
            layers[name] = nn.Conv2d(
                layer.in_channels, layer.out_channels, layer.kernel_size, layer.stride,  # type: ignore[arg-type]
                layer.padding, groups=layer.groups, bias=not normalised,  # type: ignore[arg-type]
            )
            if normalised:
                layers[f"bn_{name}"] = nn.BatchNorm2d(layer.out_channels)
        elif isinstance(layer, nn.Linear):
            layers[name] = _linear(layer, form.ranks.get(name), bias=not normalised)
            if normalised:
                layers[f"bn_{name}"] = nn.BatchNorm1d(layer.out_features)
        elif isinstance(layer, nn.MaxPool2d) and isinstance(next(reversed(layers.values())), nn.ReLU):
            relu_name, relu = layers.popitem()
            layers[name], layers[relu_name] = layer, relu
        elif isinstance(layer, nn.Flatten):
            layers["stretch"] = Stretch(_grid_before_flatten(chain))
            layers[name] = layer
        else:
            layers[name] = layer
    net = nn.Sequential(layers)
    _initialise(net, first=weighted[0], last=weighted[-1])
    return net


def _initialise(net: nn.Sequential, first: str, last: str) -> None:
    """Normal weights: deviation 1e-2 (the paper's) in the first and last layer, He's in between.

    The first layer's start stays visible as noise in its filters for many epochs where it is larger.
    """
    for name, module in net.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            if name in (first, last):
                nn.init.normal_(module.weight, std=1e-2)
            else:
                nn.init.kaiming_normal_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


class Stretch(nn.Module):
    """Repeat the cells of a map smaller than the served net's until it has the served net's size."""

    def __init__(self, size: tuple[int, int]) -> None:
        super().__init__()
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        return x if x.shape[-2:] == self.size else nn.functional.interpolate(x, self.size)


def _linear(layer: nn.Linear, rank: int | None, bias: bool) -> nn.Module:
    if rank is None:
        return nn.Linear(layer.in_features, layer.out_features, bias)
    return nn.Sequential(OrderedDict(
        down=nn.Linear(layer.in_features, rank, bias=False), up=nn.Linear(rank, layer.out_features, bias)
    ))


def _grid_before_flatten(chain: Chain) -> tuple[int, int]:
    x = torch.zeros(1, *chain.input_size)
    for layer in chain:
        if isinstance(layer, nn.Flatten):
            break
        x = layer(x)
    return x.shape[-2], x.shape[-1]
