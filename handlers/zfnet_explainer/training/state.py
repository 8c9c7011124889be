"""A run's state on disk: weights and momentum in safetensors, what they belong to in its metadata."""

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialised
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from ..atomic import write_whole

STATE = "state.safetensors"

Metadata = dict[str, Any]


def save_state(
    out: Path, net: nn.Module, optimiser: torch.optim.Optimizer, average: AveragedModel | None, metadata: Metadata
) -> None:
    """Write the state in the place of the old one; a kill leaves a whole one."""
    tensors = {f"net.{name}": value for name, value in net.state_dict().items()}
    for name, parameter in net.named_parameters():
        tensors[f"momentum.{name}"] = optimiser.state[parameter]["momentum_buffer"]
    if average:
        tensors |= {f"average.{name}": value for name, value in average.state_dict().items()}
    texts = {name: json.dumps(value) for name, value in metadata.items()}
    write_whole(out / STATE, serialised({name: value.contiguous() for name, value in tensors.items()}, texts))


def read_metadata(out: Path) -> Metadata:
    """What a state belongs to: at least `recipe` and `epoch`. Raises ValueError where there is none."""
    try:
        with safe_open(out / STATE, "pt") as state:
            metadata = {name: json.loads(text) for name, text in (state.metadata() or {}).items()}
    except OSError as error:
        raise ValueError(f"{out} holds no run: there is no {STATE} that can be opened") from error
    except (SafetensorError, ValueError) as error:
        raise unusable(out, str(error)) from error
    if not isinstance(metadata.get("recipe"), dict) or not isinstance(metadata.get("epoch"), int):
        raise unusable(out, "it says no recipe and epoch")
    return metadata


def unusable(out: Path, why: str) -> ValueError:
    """For a state that is there, but cannot be gone on with."""
    return ValueError(f"{out / STATE} is damaged, or not this program's ({why}): remove it or choose another folder")


def load_weights(out: Path, net: nn.Module, device: torch.device) -> None:
    """Fill a net with a state's weights. Raises ValueError where they do not fit."""
    _load(out, "net.", net, device)


def load_average(out: Path, average: AveragedModel, device: torch.device) -> None:
    """Fill an average with a state's."""
    _load(out, "average.", average, device)


def load_result(out: Path, net: nn.Module, device: torch.device) -> None:
    """Fill a net with what a run has come to: its average where it has one. Raises ValueError where it does not fit."""
    averaged = read_metadata(out)["recipe"].get("averaging")
    _load(out, "average.module." if averaged else "net.", net, device)


def _load(out: Path, prefix: str, net: nn.Module, device: torch.device) -> None:
    stored = _tensors(out, prefix, device)
    try:
        net.load_state_dict(stored)
    except RuntimeError as error:
        raise ValueError(f"the net in {out} is another one (classes, ranks or BatchNorm differ): {error}") from error


def load_momentum(out: Path, net: nn.Module, optimiser: torch.optim.Optimizer, device: torch.device) -> None:
    stored = _tensors(out, "momentum.", device)
    for name, parameter in net.named_parameters():
        optimiser.state[parameter]["momentum_buffer"] = stored[name]


def digest(out: Path) -> str:
    """sha256 of a state."""
    with (out / STATE).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _tensors(out: Path, prefix: str, device: torch.device) -> dict[str, Tensor]:
    with safe_open(out / STATE, "pt", device=str(device)) as state:
        return {name.removeprefix(prefix): state.get_tensor(name) for name in state.keys() if name.startswith(prefix)}  # noqa: SIM118
