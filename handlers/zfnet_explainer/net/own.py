"""A net of one's own -> a checkpoint: BatchNorm folded away, layers described, the cost of storage measured."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

from .chain import Chain, UnsupportedLayer, as_chain
from .checkpoint import Checkpoint, ClassName, Preprocessing, Record, load, save, write_record
from .described import describe

Norm = TypeVar("Norm", nn.BatchNorm1d, nn.BatchNorm2d)
DRAWN = 4  # random pictures that the cost of storage is measured on


def save_checkpoint(
    net: nn.Sequential,
    path: Path,
    *,
    classes: Sequence[ClassName | str],
    preprocessing: Preprocessing,
    name: str = "",
    architecture: str = "sequential",
    licence: str = "unspecified",
    full: bool = False,
) -> Checkpoint:
    """Write a net of the layers that a `Chain` has, BatchNorm beside them, and its record; the net as read back.

    `path` ends in .safetensors and its stem is the default `name`; classes without a synset are called by their label
    alone. Half precision unless `full`. Puts the net into eval mode. Raises UnsupportedLayer for a net that is no such
    chain, BadCheckpoint for weights that cannot be stored, ValueError for another number of classes than the net has.
    """
    if path.suffix != ".safetensors":
        raise ValueError(f"{path}: weights are written to a .safetensors file")
    chain = own_chain(net, preprocessing.size)
    names = tuple(ClassName(one, one) if isinstance(one, str) else one for one in classes)
    if len(names) != chain.classes:
        raise ValueError(f"the net scores {chain.classes:,} classes, but {len(names):,} are named")
    if len({one.synset for one in names}) < len(names):
        raise ValueError("two classes have one synset: each needs its own")
    path.parent.mkdir(parents=True, exist_ok=True)
    record = Record(name or path.stem, architecture, names, preprocessing, {}, None, licence, layers=describe(chain))
    record = save(chain, record, path, full)
    stored = load(path).chain
    complete = replace(record, storage=_storage(chain, stored, preprocessing, full))
    write_record(complete, path)
    return Checkpoint(stored, complete)


def own_chain(net: nn.Sequential, size: int) -> Chain:
    """The net as a chain on pictures [3, size, size], batch normalisation folded. Raises UnsupportedLayer."""
    for name, module in net.named_modules():
        if isinstance(module, nn.Sequential) and type(module).forward is not nn.Sequential.forward:
            raise UnsupportedLayer(f"{name or 'the net'}: a {type(module).__name__} does not run its layers in order")
    if not isinstance(net, nn.Sequential):
        raise UnsupportedLayer(
            f"a {type(net).__name__} may run its layers in any order: build an nn.Sequential of them, with nn.Flatten"
        )
    try:
        return as_chain(folded(net.eval()), (3, size, size))
    except UnsupportedLayer:
        raise
    except ValueError as error:  # a constant that a layer here is not built for
        raise UnsupportedLayer(str(error)) from error


def folded(net: nn.Sequential) -> nn.Sequential:
    """The net with each BatchNorm folded into the convolution or linear layer right before it, in eval mode."""
    layers: list[tuple[str, nn.Module]] = []
    for name, layer in _children(net):
        before = layers[-1][1] if layers else None
        if isinstance(layer, nn.Sequential):
            layers.append((name, folded(layer)))
        elif isinstance(layer, nn.BatchNorm2d) and isinstance(before, nn.Conv2d):
            layers[-1] = (layers[-1][0], fuse_conv_bn_eval(before, _with_statistics(name, layer)))
        elif isinstance(layer, nn.BatchNorm1d) and isinstance(before, nn.Linear):
            layers[-1] = (layers[-1][0], fuse_linear_bn_eval(before, _with_statistics(name, layer)))
        else:
            layers.append((name, layer))
    return nn.Sequential(OrderedDict(layers))


def _children(net: nn.Sequential) -> list[tuple[str, nn.Module]]:
    """With a module that comes again, which `named_children` passes over."""
    modules = net.named_modules(remove_duplicate=False)
    return [(name, layer) for name, layer in modules if name and "." not in name]


def _with_statistics(name: str, norm: Norm) -> Norm:
    if norm.running_mean is None:
        raise UnsupportedLayer(f"{name}: {type(norm).__name__} without running statistics cannot be folded")
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
