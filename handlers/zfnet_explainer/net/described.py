"""A chain's layers as plain values, which a record can hold, and the chain that they describe."""

from collections.abc import Iterable, Mapping
from typing import Any

from torch import nn

from .chain import Chain
from .layers import UnsupportedLayer
from .norm import CrossMapNorm
from .thin import ThinLinear

# What each layer is made from, by the names that its constructor and the layer itself have for it.
ARGUMENTS: dict[type[nn.Module], tuple[str, ...]] = {
    nn.Conv2d: ("in_channels", "out_channels", "kernel_size", "stride", "padding", "groups"),
    nn.ReLU: (),
    nn.MaxPool2d: ("kernel_size", "stride", "padding", "ceil_mode"),
    nn.AvgPool2d: ("kernel_size", "stride", "padding"),
    CrossMapNorm: ("maps", "size", "alpha", "beta", "k"),
    nn.Dropout: ("p",),
    nn.Flatten: ("start_dim", "end_dim"),
    nn.Linear: ("in_features", "out_features"),
    ThinLinear: ("in_features", "out_features", "rank"),
}
KINDS = {kind.__name__: kind for kind in ARGUMENTS}
BIASED = nn.Conv2d | nn.Linear | ThinLinear


def describe(chain: Chain) -> tuple[dict[str, Any], ...]:
    """Each layer's name, kind and arguments. Raises UnsupportedLayer for a subclass of the layers that a chain has."""
    return tuple(_described(name, layer) for name, layer in chain.named_children())


def build(layers: Iterable[Mapping[str, Any]], input_size: tuple[int, int, int]) -> Chain:
    """The chain that was described, its weights to be filled.

    Raises KeyError, TypeError or ValueError (UnsupportedLayer) for what describes none.
    """
    return Chain([_built(**layer) for layer in layers], input_size)


def _described(name: str, layer: nn.Module) -> dict[str, Any]:
    if type(layer) not in ARGUMENTS:
        raise UnsupportedLayer(f"{name}: a {type(layer).__name__} of one's own cannot be written into a record")
    arguments = {argument: _plain(getattr(layer, argument)) for argument in ARGUMENTS[type(layer)]}
    if isinstance(layer, BIASED):
        arguments["bias"] = layer.bias is not None
    return {"name": name, "kind": type(layer).__name__, **arguments}


def _plain(value: Any) -> Any:
    """As JSON has it: lists, and Python's numbers in the place of NumPy's, which a size may have been computed with."""
    if isinstance(value, tuple | list):
        return [_plain(one) for one in value]
    return value.item() if hasattr(value, "item") else value


def _built(name: str, kind: str, **arguments: Any) -> tuple[str, nn.Module]:
    """Lists, as JSON has them, are torch's tuples."""
    return name, KINDS[kind](**{key: tuple(v) if isinstance(v, list) else v for key, v in arguments.items()})
