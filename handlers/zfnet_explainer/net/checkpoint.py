"""A trained net on disk: safetensors weights and, beside them, the record they cannot be used without."""

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as serialised
from torch import Tensor

from ..atomic import json_text, write_whole
from .chain import Chain
from .described import build
from .record import BadCheckpoint, ClassName, Preprocessing, Record
from .thin import ranks
from .zfnet import zfnet

# Those that are known by name; any other chain's record describes its layers.
ARCHITECTURES = {"zfnet": zfnet}


@dataclass(frozen=True)
class Checkpoint:
    """A chain with its weights, in eval mode and float32, and its record."""

    chain: Chain
    record: Record


def save(chain: Chain, record: Record, path: Path, full: bool = False) -> Record:
    """Write `path` (.safetensors) and the record beside it (.json): weights in half precision, biases in single.

    `full` keeps all in single precision. The record is completed by the hash of the weights' file. Raises
    BadCheckpoint for weights that are not finite as they would be stored, OSError where nothing can be written.
    """
    weights = serialised(storable(chain, full))
    complete = replace(record, weights_sha256=hashlib.sha256(weights).hexdigest())
    text = json_text(asdict(complete))  # what can go wrong with it does so before anything is written
    write_whole(path, weights)
    write_whole(path.with_suffix(".json"), text)
    return complete


def write_record(record: Record, path: Path) -> None:
    """Write the record of the weights `path` beside them. Raises OSError."""
    write_whole(path.with_suffix(".json"), json_text(asdict(record)))


def storable(chain: Chain, full: bool) -> dict[str, Tensor]:
    """A chain's weights as `save` stores them. Raises BadCheckpoint where they are then not finite."""
    return {key: _storable(key, value.detach(), full) for key, value in chain.state_dict().items()}


def _storable(key: str, value: Tensor, full: bool) -> Tensor:
    """A copy of its own, as no two tensors of a file may share their values."""
    dtype = torch.float32 if full or value.ndim < 2 else torch.float16
    stored = value.to(dtype, copy=True, memory_format=torch.contiguous_format)
    if not stored.isfinite().all():
        wide = "has values that half precision cannot hold: import it with --full, or train at a lower learning rate"
        raise BadCheckpoint(f"{key} {wide if dtype == torch.float16 else 'is not finite'}")
    return stored


def load(path: Path | str) -> Checkpoint:
    """Read a weights file and its record, check that they belong together, rebuild the net.

    Raises BadCheckpoint where a file is missing or damaged, or the weights are not the record's.
    """
    path = Path(path)
    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise BadCheckpoint(f"cannot read the weights {path}: {error.strerror}") from error
    record = _read_record(path)
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
        chain = filled(record, stored)
    except (KeyError, RuntimeError, TypeError, ValueError) as error:
        raise BadCheckpoint(f"{path} does not hold a {record.architecture}: {error}") from error
    if chain.classes != len(record.classes):
        raise BadCheckpoint(f"{path} scores {chain.classes} classes, its record names {len(record.classes)}")
    _, height, width = chain.input_size
    if {height, width} != {record.preprocessing.size}:
        raise BadCheckpoint(
            f"{path}: a {record.architecture} sees pictures of {height} x {width} pixels, but its record's "
            f"`preprocessing.size` is {record.preprocessing.size}: fetch both again"
        )
    return Checkpoint(chain, record)


def filled(record: Record, stored: dict[str, Tensor]) -> Chain:
    """The record's net with these weights. Raises KeyError, RuntimeError, TypeError or ValueError for those of none."""
    with torch.device("meta"):
        chain = _empty(record, stored)
    chain.load_state_dict({key: value.float() for key, value in stored.items()}, assign=True)
    chain.requires_grad_(False).eval()
    return chain


def _empty(record: Record, stored: dict[str, Tensor]) -> Chain:
    if record.layers:
        side = record.preprocessing.size
        return build(record.layers, (3, side, side))
    return ARCHITECTURES[record.architecture](len(record.classes), ranks(stored))


def _read_record(weights: Path) -> Record:
    path = weights.with_suffix(".json")
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
        fields["classes"] = tuple(ClassName(**c) for c in fields["classes"])
        shape = fields["preprocessing"]
        channels = {"mean": tuple(shape["mean"]), "std": tuple(shape["std"])}
        fields["preprocessing"] = Preprocessing(**shape | channels)
        fields["layers"] = tuple(fields.get("layers", ()))
        record = Record(**fields)
    except FileNotFoundError as error:
        raise BadCheckpoint(
            f"{weights} is no checkpoint: its record {path} is missing; "
            "`zfnet-explainer import` makes one of a state dict"
        ) from error
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
