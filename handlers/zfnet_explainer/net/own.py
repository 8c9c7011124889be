"""A net of one's own -> a checkpoint: BatchNorm folded away, layers described, the cost of storage measured."""

import copy
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

from .chain import Chain, as_chain, children
from .checkpoint import Checkpoint, filled, save, storable
from .checks import check_name, check_weights_path
from .described import describe
from .layers import UnsupportedLayer
from .record import ClassName, Preprocessing, Record

Norm = TypeVar("Norm", nn.BatchNorm1d, nn.BatchNorm2d)
DRAWN = 4  # random pictures that the cost of storage is measured on


def save_checkpoint(
    net: nn.Sequential,
    path: Path,
    *,
    classes: Sequence[ClassName | str],
    preprocessing: Preprocessing,
    name: str = "",
    licence: str = "unspecified",
    full: bool = False,
) -> Checkpoint:
    """Write a net of the layers that a `Chain` has, BatchNorm beside them, and its record; the net as read back.

    `path` ends in .safetensors and its stem is the default `name`; classes without a synset are called by their label
    alone. Half precision unless `full`. The net may lie on any device, in any precision, and stays as it is. Raises
    UnsupportedLayer for a net that is no such chain, BadCheckpoint for weights that cannot be stored, ValueError for
    another number of classes than the net has and for a name that cannot stand in a URL; nothing is written then.
    """
    check_weights_path(path)
    names = tuple(ClassName(one, one) if isinstance(one, str) else one for one in classes)
    record = Record(
        name=name or path.stem, architecture="sequential", classes=names, preprocessing=preprocessing,
        training={}, validation=None, licence=licence,
    )  # fmt: skip
    checkpoint = own_checkpoint(net, record, full)
    return replace(checkpoint, record=save(checkpoint.chain, checkpoint.record, path, full))


def own_checkpoint(net: nn.Sequential, record: Record, full: bool) -> Checkpoint:
    """A net as `save` would store it, in memory, its record with its layers and with what storing it costs.

    Raises as `save_checkpoint` does.
    """
    check_name(record.name)
    chain = own_chain(net, record.preprocessing.size)
    if len(record.classes) != chain.classes:
        raise ValueError(f"the net scores {chain.classes:,} classes, but {len(record.classes):,} are named")
    if len({one.synset for one in record.classes}) < len(record.classes):
        raise ValueError("two classes have one synset: each needs its own")
    record = replace(record, layers=describe(chain))
    try:
        stored = filled(record, storable(chain, full))
    except RuntimeError as error:
        raise UnsupportedLayer(f"the net has other weights than its layers say: {error}") from error
    return Checkpoint(stored, replace(record, storage=_storage(chain, stored, record.preprocessing, full)))


def own_chain(net: nn.Sequential, size: int) -> Chain:
    """The net as a chain on pictures [3, size, size], in float32 on the CPU, BatchNorm folded. Raises UnsupportedLayer.

    Of its weights it has copies.
    """
    for name, module in net.named_modules():
        _check_runs_as_built(name or "the net", module)
    if not isinstance(net, nn.Sequential):
        raise UnsupportedLayer(
            f"a {type(net).__name__} may run its layers in any order: build an nn.Sequential of them, with nn.Flatten"
        )
    try:
        return as_chain(folded(copy.deepcopy(net).eval().to("cpu", torch.float32)), (3, size, size))
    except UnsupportedLayer:
        raise
    except ValueError as error:  # a constant that a layer here is not built for
        raise UnsupportedLayer(str(error)) from error


def _check_runs_as_built(name: str, module: nn.Module) -> None:
    if isinstance(module, nn.Sequential) and type(module).forward is not nn.Sequential.forward:
        raise UnsupportedLayer(f"{name}: a {type(module).__name__} does not run its layers in order")
    if module._forward_pre_hooks or module._forward_hooks:
        raise UnsupportedLayer(
            f"{name}: a hook runs beside this {type(module).__name__} (weight normalisation, pruning, one of yours), "
            "which a checkpoint cannot hold: remove it first"
        )


def folded(net: nn.Sequential) -> nn.Sequential:
    """The net with each BatchNorm folded into the convolution or linear layer right before it, in eval mode."""
    layers: list[tuple[str, nn.Module]] = []
    for name, layer in children(net):
        before = layers[-1][1] if layers else None
        if isinstance(layer, nn.Sequential):
            layers.append((name, folded(layer)))
        elif isinstance(layer, nn.BatchNorm2d) and isinstance(before, nn.Conv2d):
            layers[-1] = (layers[-1][0], fuse_conv_bn_eval(before, _foldable(name, layer, before.out_channels)))
        elif isinstance(layer, nn.BatchNorm1d) and isinstance(before, nn.Linear):
            layers[-1] = (layers[-1][0], fuse_linear_bn_eval(before, _foldable(name, layer, before.out_features)))
        else:
            layers.append((name, layer))
    return nn.Sequential(OrderedDict(layers))


def _foldable(name: str, norm: Norm, width: int) -> Norm:
    """A normalisation of so many channels or values, with the weights 1 and biases 0 that it may leave out."""
    if norm.running_mean is None:
        raise UnsupportedLayer(f"{name}: {type(norm).__name__} without running statistics cannot be folded")
    if norm.num_features != width:
        raise UnsupportedLayer(f"{name}: {type(norm).__name__} takes {norm.num_features:,}, but is given {width:,}")
    if not norm.affine:
        norm.weight = nn.Parameter(torch.ones_like(norm.running_mean))
        norm.bias = nn.Parameter(torch.zeros_like(norm.running_mean))
    return norm


@torch.inference_mode()
def _storage(chain: Chain, stored: Chain, preprocessing: Preprocessing, full: bool) -> dict[str, Any]:
    """The largest difference of a logit between two chains over random pictures, three digits of it."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.randint(0, 256, (DRAWN, 3, 7, 7), generator=generator).float()
    side = preprocessing.size
    x = preprocessing.standardise(functional.interpolate(coarse, (side, side), mode="bilinear"))
    difference = float((chain(x) - stored(x)).abs().max())
    return {
        "precision": "float32" if full else "float16",
        "largest_logit_difference": float(f"{difference:.3g}"),
        "pictures": DRAWN,
        "drawn": "random",
    }
