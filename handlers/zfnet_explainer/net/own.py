"""A net of one's own -> a checkpoint: BatchNorm folded away, layers described, the cost of storage measured."""

import copy
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

from .chain import Chain, chained
from .checkpoint import Checkpoint, filled, save, storable
from .checks import check_licence, check_name, check_weights_path
from .described import describe
from .layers import UnsupportedLayer, check_runs_as_built
from .plain import leaves
from .record import ClassName, Preprocessing, Record

Norm = TypeVar("Norm", nn.BatchNorm1d, nn.BatchNorm2d)
DRAWN = 4  # random pictures that the cost of storage is measured on
ROUNDING = 1e-3  # of the largest logit: far more than float32's, far less than another net's difference


def save_checkpoint(
    net: nn.Sequential,
    path: Path | str,
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
    UnsupportedLayer for a net that is no such chain, or does not answer as its layers do, BadCheckpoint for weights
    that cannot be stored, ValueError for another number of classes than the net has and for a name that cannot stand
    in a URL, or terms that are no line of text; nothing is written then.
    """
    path = Path(path)
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
    check_licence(record.licence)
    single = in_single(net)
    chain = own_chain(single, record.preprocessing.size)
    if len(record.classes) != chain.classes:
        raise ValueError(f"the net scores {chain.classes:,} classes, but {len(record.classes):,} are named")
    if len({one.synset for one in record.classes}) < len(record.classes):
        raise ValueError("two classes have one synset: each needs its own")
    record = replace(record, layers=describe(chain))
    try:
        stored = filled(record, storable(chain, full))
    except RuntimeError as error:
        raise UnsupportedLayer(f"the net has other weights than its layers say: {error}") from error
    pictures = _drawn(record.preprocessing)
    logits = _logits(chain, pictures)
    _check_alike(logits, _logits(single, pictures))
    return Checkpoint(stored, replace(record, storage=_storage(logits, _logits(stored, pictures), full)))


def in_single(net: nn.Sequential) -> nn.Sequential:
    """A copy in float32 on the CPU, in eval mode. Raises UnsupportedLayer for a net that runs otherwise than built."""
    check_runs_as_built(net)
    return copy.deepcopy(net).eval().to("cpu", torch.float32)


def own_chain(single: nn.Sequential, size: int) -> Chain:
    """A net `in_single` as a chain on pictures [3, size, size], BatchNorm folded. Raises UnsupportedLayer."""
    return chained(_folded(leaves(single)), (3, size, size))


def _folded(ordered: Iterable[tuple[str, nn.Module]]) -> list[tuple[str, nn.Module]]:
    """Layers in eval mode, each BatchNorm folded into the convolution or linear layer right before it."""
    layers: list[tuple[str, nn.Module]] = []
    for name, layer in ordered:
        before = layers[-1][1] if layers else None
        if type(layer) is nn.BatchNorm2d and type(before) is nn.Conv2d:
            layers[-1] = (layers[-1][0], fuse_conv_bn_eval(before, _foldable(name, layer, before.out_channels)))
        elif type(layer) is nn.BatchNorm1d and type(before) is nn.Linear:
            layers[-1] = (layers[-1][0], fuse_linear_bn_eval(before, _foldable(name, layer, before.out_features)))
        else:
            layers.append((name, layer))
    return layers


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


def _drawn(preprocessing: Preprocessing) -> Tensor:
    """Random pictures, standardised, always the same."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.randint(0, 256, (DRAWN, 3, 7, 7), generator=generator, device="cpu").float()
    side = preprocessing.size
    return preprocessing.standardise(functional.interpolate(coarse, (side, side), mode="bilinear"))


@torch.inference_mode()
def _logits(net: nn.Module, pictures: Tensor) -> Tensor:
    found: Tensor = net(pictures.clone())  # a layer in place writes into what it is given
    return found


def _check_alike(ours: Tensor, theirs: Tensor) -> None:
    """Raise UnsupportedLayer where a net's logits are not its chain's; numbers that are none are told of later."""
    apart, largest = float((ours - theirs).abs().max()), float(theirs.abs().max())
    if apart > ROUNDING * largest:
        raise UnsupportedLayer(
            f"the net answers otherwise than its layers, one after another: a logit differs by {apart:.3g} over random "
            f"pictures (the largest is {largest:.3g}), so that something runs beside them"
        )


def _storage(logits: Tensor, stored: Tensor, full: bool) -> dict[str, Any]:
    """The largest difference that storing makes to a logit, three digits of it."""
    return {
        "precision": "float32" if full else "float16",
        "largest_logit_difference": float(f"{float((logits - stored).abs().max()):.3g}"),
        "pictures": DRAWN,
        "drawn": "random",
    }
