"""A trained net on disk: safetensors weights and, beside them, the record they cannot be used without."""

import hashlib
import json
import math
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from .chain import Chain
from .described import build
from .zfnet import zfnet

# Those that are known by name; any other chain's record describes its layers.
ARCHITECTURES = {"zfnet": zfnet}
INTERPOLATIONS = ("bicubic", "bilinear")
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
    """Centre square, resized to `size` pixels (antialiased), then (value/255 - mean) / std.

    `crop` is the square's side over the picture's shorter side: with 1 the whole square is cut out and resized, with
    less the picture is resized first, as torchvision does. Raises ValueError for what cannot be.
    """

    size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    crop: float = 1.0
    interpolation: str = "bicubic"

    def __post_init__(self) -> None:
        if not 0 < self.crop <= 1:
            raise ValueError(f"`crop` is a share over 0, at most 1, not {self.crop}")
        if self.interpolation not in INTERPOLATIONS:
            raise ValueError(f"`interpolation` is one of {', '.join(INTERPOLATIONS)}, not {self.interpolation!r}")
        if not len(self.mean) == len(self.std) == 3 or 0 in self.std:
            raise ValueError(f"`mean` and `std` have a value for each of 3 channels: {self.mean}, {self.std}")

    def standardise(self, pixels: Tensor) -> Tensor:
        """Values 0 to 255 [..., 3, h, w] -> float32 of the same shape."""
        mean, std = (torch.tensor(v, device=pixels.device)[:, None, None] for v in (self.mean, self.std))
        return (pixels.float() / 255 - mean) / std


@dataclass(frozen=True)
class Record:
    """What the weights are.

    `validation`, measured on the weights as read back, has at least top1 and images, and is None where nobody has
    measured; an export also writes top5, calibration, accuracy by class and what storing cost (`training.accuracy`,
    `training.export`). `layers` describe a net that `ARCHITECTURES` does not know (`net.described`), and `storage`
    says what storing an imported one cost (`net.own`).
    """

    name: str
    architecture: str
    classes: tuple[ClassName, ...]
    preprocessing: Preprocessing
    training: dict[str, Any]
    validation: dict[str, Any] | None
    licence: str
    weights_sha256: str = ""
    layers: tuple[dict[str, Any], ...] = ()
    storage: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        if not 0 < self.temperature < math.inf:
            raise ValueError(f"`temperature` is a number over 0, not {self.temperature}")

    @property
    def temperature(self) -> float:
        """What logits are divided by, so that probabilities mean what they say; 1 where none was fitted."""
        return float((self.validation or {}).get("temperature", 1))


@dataclass(frozen=True)
class Checkpoint:
    """A chain with its weights, in eval mode and float32, and its record."""

    chain: Chain
    record: Record


def save(chain: Chain, record: Record, path: Path, full: bool = False) -> Record:
    """Write `path` (.safetensors) and the record beside it (.json): weights in half precision, biases in single.

    `full` keeps all in single precision. The record is completed by the hash of the weights' file. Raises
    BadCheckpoint for weights that are not finite as they would be stored.
    """
    tensors = {key: _storable(key, value.detach(), full) for key, value in chain.state_dict().items()}
    save_file(tensors, path)
    complete = replace(record, weights_sha256=hashlib.sha256(path.read_bytes()).hexdigest())
    write_record(complete, path)
    return complete


def write_record(record: Record, path: Path) -> None:
    """Write the record of the weights `path` beside them."""
    content = json.dumps(asdict(record), indent=1, ensure_ascii=False)
    path.with_suffix(".json").write_text(content + "\n", encoding="utf-8")


def _storable(key: str, value: Tensor, full: bool) -> Tensor:
    """A copy of its own, as no two tensors of a file may share their values."""
    dtype = torch.float32 if full or value.ndim < 2 else torch.float16
    stored = value.to(dtype, copy=True, memory_format=torch.contiguous_format)
    if not stored.isfinite().all():
        wide = "is not finite" if dtype == torch.float32 else "has values that half precision cannot hold: store all"
        raise BadCheckpoint(f"{key} {wide}" + (" in single precision (--full)" if dtype == torch.float16 else ""))
    return stored


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
            chain = _empty(record, stored)
        chain.load_state_dict({key: value.float() for key, value in stored.items()}, assign=True)
    except (KeyError, RuntimeError, TypeError, ValueError) as error:
        raise BadCheckpoint(f"{path} does not hold a {record.architecture}: {error}") from error
    if chain.classes != len(record.classes):
        raise BadCheckpoint(f"{path} scores {chain.classes} classes, its record names {len(record.classes)}")
    chain.requires_grad_(False).eval()
    return Checkpoint(chain, record)


def _empty(record: Record, stored: dict[str, Tensor]) -> Chain:
    """The record's net, whose weights are to be filled."""
    if record.layers:
        side = record.preprocessing.size
        return build(record.layers, (3, side, side))
    return ARCHITECTURES[record.architecture](len(record.classes), _ranks(stored))


def _ranks(stored: dict[str, Tensor]) -> dict[str, int]:
    """Of the linear layers that are stored as products."""
    return {key.removesuffix(DOWN): len(value) for key, value in stored.items() if key.endswith(DOWN)}


def _read_record(path: Path) -> Record:
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
        fields["classes"] = tuple(ClassName(**c) for c in fields["classes"])
        shape = fields["preprocessing"]
        channels = {"mean": tuple(shape["mean"]), "std": tuple(shape["std"])}
        fields["preprocessing"] = Preprocessing(**shape | channels)
        fields["layers"] = tuple(fields.get("layers", ()))
        record = Record(**fields)
    except OSError as error:
        raise BadCheckpoint(f"cannot read the record {path}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadCheckpoint(f"{path} is not a checkpoint's record: {error!r}") from error
    if record.validation is not None and not {"top1", "images"} <= set(record.validation):
        raise BadCheckpoint(f"{path} does not say how accurate the net is: `validation` needs top1 and images")
    if not record.layers and record.architecture not in tuple(ARCHITECTURES):
        raise BadCheckpoint(
            f"{path}: architecture {record.architecture!r} is none of {sorted(ARCHITECTURES)} and has no `layers`"
        )
    return record
