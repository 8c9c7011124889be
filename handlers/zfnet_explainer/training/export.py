"""The trained form -> the chain that is served."""

from dataclasses import replace
from pathlib import Path

from torch import Tensor, nn

from ..net.chain import Chain
from ..net.checkpoint import ARCHITECTURES, Record, load, save
from .accuracy import accuracy, as_validation, top_k
from .data import Source
from .evaluate import logits

Factors = dict[str, tuple[Tensor, Tensor]]


def fold(net: nn.Sequential, chain: Chain) -> tuple[Chain, Factors]:
    """Fill `chain` with a training form's weights, each BatchNorm folded into the layer before it.

    Returns the chain in eval mode and the (up, down) factors of the linear layers that were trained
    at a rank: scaling `up` by the BatchNorm after it keeps their product the folded weight.
    """
    trained = dict(net.named_children())
    factors: Factors = {}
    state: dict[str, Tensor] = {}
    for name, layer in chain.named_children():
        if not isinstance(layer, nn.Conv2d | nn.Linear):
            continue
        source = trained[name]
        last = source.get_submodule("up") if isinstance(source, nn.Sequential) else source
        weight, bias = _folded(last, trained.get(f"bn_{name}"))
        if isinstance(source, nn.Sequential):
            down = source.get_submodule("down").get_parameter("weight").detach()
            factors[name] = weight, down
            weight = weight @ down
        state[f"{name}.weight"], state[f"{name}.bias"] = weight, bias
    chain.load_state_dict(state)
    chain.requires_grad_(False).eval()
    return chain, factors


def _folded(layer: nn.Module, norm: nn.Module | None) -> tuple[Tensor, Tensor]:
    """Weight and bias of a layer followed by BatchNorm in eval mode (or by none)."""
    weight = layer.get_parameter("weight").detach()
    if norm is None:
        return weight, layer.get_parameter("bias").detach()
    if not isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d) or norm.running_var is None or norm.running_mean is None:
        raise TypeError(f"{type(norm).__name__} cannot be folded into the layer before it")
    scale = norm.weight.detach() / (norm.running_var + norm.eps).sqrt()
    return weight * scale.view(-1, *[1] * (weight.ndim - 1)), norm.bias.detach() - norm.running_mean * scale


def export(net: nn.Sequential, record: Record, path: Path, val: Source) -> float:
    """Store a trained form as a checkpoint and complete its record; the top-1 of what was stored.

    `validation` is measured on the weights as read back, halved and factored, in float32. What storing
    them cost is measured against the folded chain with its full weights: `top1_before_storage` and
    `largest_logit_difference`.
    """
    chain, factors = fold(net, ARCHITECTURES[record.architecture](len(record.classes)))
    side = record.preprocessing.size
    before = logits(chain, val, record.preprocessing, side)
    save(chain, replace(record, validation={"top1": 0.0, "images": 0}), path, factors)
    stored = logits(load(path).chain, val, record.preprocessing, side)
    measured = accuracy(stored, val.labels)
    validation = as_validation(measured, record.classes) | {
        "top1_before_storage": round(top_k(before, val.labels, 1), 4),
        "largest_logit_difference": round(float((stored - before).abs().max()), 4),
    }
    save(chain, replace(record, validation=validation), path, factors)
    return measured.top1
