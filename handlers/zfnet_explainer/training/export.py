"""The trained form -> the chain that is served."""

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from ..accuracy.accuracy import accuracy, as_validation, top_k
from ..accuracy.logits import logits
from ..net.chain import Chain
from ..net.checkpoint import ARCHITECTURES, filled, save, storable
from ..net.record import Record
from ..net.thin import ThinLinear
from ..pictures.labelled import Source


def fold(net: nn.Sequential, chain: Chain) -> Chain:
    """Fill `chain` with a training form's weights, each BatchNorm folded into the layer before it, in eval mode."""
    trained = dict(net.named_children())
    state: dict[str, Tensor] = {}
    for name, layer in chain.named_children():
        if isinstance(layer, nn.Conv2d | nn.Linear | ThinLinear):
            folded = _folded(trained[name], trained.get(f"bn_{name}"))
            state |= {f"{name}.{key}": value for key, value in folded.items()}
    chain.load_state_dict(state)
    chain.requires_grad_(False).eval()
    return chain


def _folded(layer: nn.Module, norm: nn.Module | None) -> dict[str, Tensor]:
    """State of a layer followed by BatchNorm in eval mode (or by none); of a product, what gives the outputs scales."""
    state = layer.state_dict()
    if norm is None:
        return state
    if not isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d) or norm.running_var is None or norm.running_mean is None:
        raise TypeError(f"{type(norm).__name__} cannot be folded into the layer before it")
    scale = norm.weight.detach() / (norm.running_var + norm.eps).sqrt()
    key = "weight.up" if isinstance(layer, ThinLinear) else "weight"
    state[key] = state[key] * scale.view(-1, *[1] * (state[key].ndim - 1))
    state["bias"] = norm.bias.detach() - norm.running_mean * scale
    return state


def export(net: nn.Sequential, record: Record, path: Path, val: Source, device: torch.device) -> float:
    """Store a trained form as a checkpoint and complete its record on a device; the top-1 of what was stored.

    `validation` is measured on the weights as they are stored, halved, in float32; nothing is written before. What
    storing them cost is measured against the folded chain: `top1_before_storage` and `largest_logit_difference`.
    """
    empty = ARCHITECTURES[record.architecture](len(record.classes), record.training["recipe"]["ranks"])
    chain = fold(net, empty).placed(device)
    side = record.preprocessing.size
    before = logits(chain, val, record.preprocessing, side)
    halved = filled(record, storable(chain, full=False)).placed(device)
    stored = logits(halved, val, record.preprocessing, side)
    measured = accuracy(stored, val.labels)
    validation = as_validation(measured, record.classes) | {
        "top1_before_storage": round(top_k(before, val.labels, 1), 4),
        "largest_logit_difference": round(float((stored - before).abs().max()), 4),
    }
    save(chain, replace(record, validation=validation), path)
    return measured.top1
