"""A trained net on disk: safetensors weights and, beside them, the record they cannot be used without."""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from .chain import Chain
from .zfnet import zfnet

ARCHITECTURES = {"zfnet": zfnet}
DOWN = ".weight.down"


class BadCheckpoint(ValueError):
    """Weights or a record that cannot be used; the message says what to do."""


@dataclass(frozen=True)
class ClassName:
    """What a class is called: its folder name (ImageNet: the synset) and its label."""

    synset: str
    label: str


@dataclass(frozen=True)
class Preprocessing:
    """Centre square, resized to `size` pixels (antialiased bicubic), then (value/255 - mean) / std."""

    size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def standardise(self, pixels: Tensor) -> Tensor:
        """Values 0 to 255 [..., 3, h, w] -> float32 of the same shape."""
        mean, std = (torch.tensor(v, device=pixels.device)[:, None, None] for v in (self.mean, self.std))
        return (pixels.float() / 255 - mean) / std


@dataclass(frozen=True)
class Record:
    """What the weights are.

    `validation`, measured on the weights as read back, has at least top1 and images; an export also writes
    top5, calibration, accuracy by class and what storing cost (`training.accuracy`, `training.export`).
    """

    name: str
    architecture: str
    classes: tuple[ClassName, ...]
    preprocessing: Preprocessing
    training: dict[str, Any]
    validation: dict[str, Any]
    licence: str
    weights_sha256: str = ""


@dataclass(frozen=True)
class Checkpoint:
    """A chain with its weights, in eval mode and float32, and its record."""

    chain: Chain
    record: Record


def save(chain: Chain, record: Record, path: Path) -> None:
    """Write `path` (.safetensors) and the record beside it (.json): weights in half precision, biases in single.

    The record's hash is that of the weights' file.
    """
    tensors = {key: value.half() if value.ndim > 1 else value.float() for key, value in chain.state_dict().items()}
    save_file({k: v.contiguous() for k, v in tensors.items()}, path)
    content = asdict(record) | {"weights_sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    path.with_suffix(".json").write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def load(path: Path) -> Checkpoint:
    """Read a weights file and its record, check that they belong together, rebuild the net.

    Raises BadCheckpoint where a file is missing or damaged, or the weights are not the record's.
    """
    record = _read_record(path.with_suffix(".json"))
    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise BadCheckpoint(f"cannot read the weights {path}: {error.strerror}") from error
    if digest != record.weights_sha256:
        raise BadCheckpoint(
            f"{path} is not the file its record describes (sha256 {digest[:12]}..., recorded "
            f"{record.weights_sha256[:12]}...): fetch both again"
        )
    try:
        stored = load_file(path)
    except SafetensorError as error:
        raise BadCheckpoint(f"{path} is not a safetensors file: {error}") from error
    try:
        with torch.device("meta"):
            chain = ARCHITECTURES[record.architecture](len(record.classes), _ranks(stored))
        chain.load_state_dict({key: value.float() for key, value in stored.items()}, assign=True)
    except (KeyError, RuntimeError) as error:
        raise BadCheckpoint(f"{path} does not hold a {record.architecture}: {error}") from error
    chain.requires_grad_(False).eval()
    return Checkpoint(chain, record)


def _ranks(stored: dict[str, Tensor]) -> dict[str, int]:
    """Of the linear layers that are stored as products."""
    return {key.removesuffix(DOWN): len(value) for key, value in stored.items() if key.endswith(DOWN)}


def _read_record(path: Path) -> Record:
    try:
        fields = json.loads(path.read_text())
        fields["classes"] = tuple(ClassName(**c) for c in fields["classes"])
        shape = fields["preprocessing"]
        fields["preprocessing"] = Preprocessing(shape["size"], tuple(shape["mean"]), tuple(shape["std"]))
        record = Record(**fields)
    except OSError as error:
        raise BadCheckpoint(f"cannot read the record {path}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise BadCheckpoint(f"{path} is not a checkpoint's record: {error!r}") from error
    if not {"top1", "images"} <= set(record.validation):
        raise BadCheckpoint(f"{path} does not say how accurate the net is: `validation` needs top1 and images")
    if not isinstance(record.architecture, str) or record.architecture not in ARCHITECTURES:
        raise BadCheckpoint(f"{path}: architecture {record.architecture!r} is none of {sorted(ARCHITECTURES)}")
    return record
