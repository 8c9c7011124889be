"""The layers that a chain is made of: which it takes, and how each reads what the one before it gives."""

from collections.abc import Sequence
from typing import cast

from torch import nn
from torch.nn.utils import parametrize

from .geometry import Axes, Axis
from .norm import CrossMapNorm
from .thin import ThinLinear

SPATIAL = (nn.Conv2d, nn.ReLU, nn.MaxPool2d, nn.AvgPool2d, CrossMapNorm, nn.Dropout)
DENSE = (nn.Linear, ThinLinear, nn.ReLU, nn.Dropout)
_FOLDED = "save_checkpoint folds it away, only right after a convolution or a linear layer"
_LOGITS = "an answer takes the softmax of the logits itself, leave it out"
# What to do about a layer that has no place in a chain.
HINTS: dict[type[nn.Module], str] = {
    nn.BatchNorm1d: _FOLDED, nn.BatchNorm2d: _FOLDED, nn.Softmax: _LOGITS, nn.LogSoftmax: _LOGITS,
}  # fmt: skip


class UnsupportedLayer(ValueError):
    """A layer, or an order of layers, that a chain cannot express."""


def check_runs_as_built(net: nn.Module) -> None:
    """Raise UnsupportedLayer for a net that is anything but its layers, one after another, and their weights."""
    for inside in ("_orig_mod", "module"):
        if not isinstance(net, nn.Sequential) and isinstance(getattr(net, inside, None), nn.Module):
            raise UnsupportedLayer(f"{type(net).__name__} wraps a net: give what is inside, `net.{inside}`")
    if not isinstance(net, nn.Sequential):
        raise UnsupportedLayer(
            f"a {type(net).__name__} may run its layers in any order: build an nn.Sequential of them, with nn.Flatten"
        )
    for name, module in net.named_modules():
        _check_runs_as_built(name or "the net", module)


def _check_runs_as_built(name: str, module: nn.Module) -> None:
    kind = type(module).__name__
    if parametrize.is_parametrized(module):
        raise UnsupportedLayer(
            f"{name}: a parametrization computes this layer's weights: torch.nn.utils.parametrize."
            "remove_parametrizations(layer, name) leaves them as they are"
        )
    if "forward" in vars(module) or (
        isinstance(module, nn.Sequential) and type(module).forward is not nn.Sequential.forward
    ):
        raise UnsupportedLayer(f"{name}: a forward of its own, so that this {kind} does not run as torch's does")
    if module._forward_pre_hooks or module._forward_hooks:
        raise UnsupportedLayer(
            f"{name}: a hook runs beside this {kind} (weight normalisation, pruning, one of yours), "
            "which a checkpoint cannot hold: remove it first"
        )


def width_after(name: str, layer: nn.Module, width: int) -> int:
    """How many channels or values a layer gives for so many. Raises UnsupportedLayer where it takes another number."""
    what, takes, gives = _widths(layer) or ("", width, width)
    if takes != width:
        raise UnsupportedLayer(f"{name}: {type(layer).__name__} takes {takes:,}, but is given {width:,} {what}")
    return gives


def _widths(layer: nn.Module) -> tuple[str, int, int] | None:
    """What a layer counts, how many it takes, how many it gives; None where it takes any number."""
    if isinstance(layer, nn.Conv2d):
        return "channels", layer.in_channels, layer.out_channels
    if isinstance(layer, CrossMapNorm):
        return "channels", layer.maps, layer.maps
    if isinstance(layer, nn.Linear | ThinLinear):
        return "values", layer.in_features, layer.out_features
    return None


def check_flatten(name: str, layer: nn.Module) -> None:
    if isinstance(layer, nn.Flatten) and (layer.start_dim, layer.end_dim) not in ((1, -1), (1, 3)):
        raise UnsupportedLayer(
            f"{name}: {layer} does not make one row of each picture, as Flatten(start_dim=1, end_dim=-1) does"
        )


def check_spatial(name: str, layer: nn.Module) -> None:
    _check_kind(name, layer, SPATIAL, "before Flatten")
    if fault := _fault(layer):
        raise UnsupportedLayer(f"{name}: {fault}")


def check_dense(name: str, layer: nn.Module) -> None:
    _check_kind(name, layer, DENSE, "after Flatten")


def _check_kind(name: str, layer: nn.Module, kinds: tuple[type[nn.Module], ...], place: str) -> None:
    """These very kinds: the methods read a layer's weights, of which a subclass may make something else."""
    kind = type(layer)
    if kind in kinds and not getattr(layer, "inplace", False):
        return
    if kind in kinds:
        raise UnsupportedLayer(f"{name}: an in-place {kind.__name__} writes over what is read again: inplace=False")
    for known in kinds:
        if isinstance(layer, known):
            raise UnsupportedLayer(
                f"{name}: {kind.__name__} is made from {known.__name__} and may compute something else: "
                f"use {known.__name__} itself"
            )
    hint = HINTS.get(kind, f"what can is {', '.join(known.__name__ for known in kinds)}")
    raise UnsupportedLayer(f"{name}: {kind.__name__} cannot stand {place}: {hint}")


def axes_of(layer: nn.Module, size: tuple[int, int]) -> Axes | None:
    """How a convolution or a pool reads maps of this size, down and across; None for other layers."""
    if not isinstance(layer, nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d):
        return None
    kernel, stride, padding = (pair(v) for v in (layer.kernel_size, layer.stride, layer.padding))
    ceil = not isinstance(layer, nn.Conv2d) and layer.ceil_mode
    down, across = (Axis.over(size[i], kernel[i], stride[i], padding[i], ceil) for i in (0, 1))
    return down, across


def _fault(layer: nn.Module) -> str | None:
    """What a layer of a kind that a chain takes has that it does not take; None where it has nothing of that."""
    if isinstance(layer, nn.Conv2d):
        return _fault_of_convolution(layer)
    if isinstance(layer, nn.MaxPool2d | nn.AvgPool2d):
        return _fault_of_pool(layer)
    return None


def _fault_of_convolution(layer: nn.Conv2d) -> str | None:
    if set(layer.dilation) != {1}:
        return f"dilation {layer.dilation} is not supported"
    if layer.padding_mode != "zeros" or isinstance(layer.padding, str):
        return "padding must be numbers, filled with zeros"
    if any(padding >= kernel for padding, kernel in zip(pair(layer.padding), pair(layer.kernel_size), strict=True)):
        return (
            f"a convolution's padding is smaller than its kernel, {layer.kernel_size}, not {layer.padding}: "
            "values that read padding alone show nothing of a picture"
        )
    return None


def _fault_of_pool(pool: nn.MaxPool2d | nn.AvgPool2d) -> str | None:
    if isinstance(pool, nn.MaxPool2d):
        if set(pair(pool.dilation)) != {1}:
            return f"dilation {pool.dilation} is not supported"
        if pool.return_indices:
            return "a pool gives its values alone (return_indices=False)"
    # Every window has a value that is no padding, as torch demands.
    if any(2 * padding > kernel for padding, kernel in zip(pair(pool.padding), pair(pool.kernel_size), strict=True)):
        return f"a pool's padding is at most half its window, not {pool.padding}"
    if isinstance(pool, nn.AvgPool2d) and not _divides_by_its_window(pool):
        return "an average pool divides by its whole window (no ceil mode, pads counted)"
    return None


def _divides_by_its_window(pool: nn.AvgPool2d) -> bool:
    """Whether every value that it gives is the mean of as many."""
    counted = pool.count_include_pad or pair(pool.padding) == (0, 0)
    return counted and not pool.ceil_mode and not pool.divisor_override


def pair(value: int | str | Sequence[int | None] | None) -> tuple[int, int]:
    """Down and across, of what torch takes for both: two values, or one, also in a tuple of its own."""
    values = tuple(value) if isinstance(value, tuple | list) else (value,)
    return cast(tuple[int, int], values * 2 if len(values) == 1 else values)
