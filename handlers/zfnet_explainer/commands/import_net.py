"""`zfnet-explainer import`: weights of torchvision's AlexNet or VGG -> a checkpoint that is explained and served."""

import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from ..printing import tell
from ..torchserve.devices import Device
from .device import Where, picked
from .paths import writable
from .reading import Strict, tolerance

if TYPE_CHECKING:  # torch takes seconds to import: --help does not wait for it
    import torch
    from torch import Tensor

    from ..net.checkpoint import Checkpoint
    from ..net.record import Record
    from ..pictures.labelled import Source


def import_net(
    architecture: Annotated[str, typer.Argument(help="alexnet, vgg11, vgg13, vgg16, vgg19, or one of these with _bn.")],
    file: Annotated[Path, typer.Argument(help="torchvision's state dict: .safetensors, .pth or .pt.")],
    labels: Annotated[
        Path,
        typer.Option(
            help='JSON: {"SYNSET": "name"} sorted, ["name"], {"0": "name"} or {"0": ["SYNSET", "name"]} by class index.'
        ),
    ],
    out: Annotated[Path, typer.Option(help="The weights to write, .safetensors; the record (.json) goes beside them.")],
    full: Annotated[bool, typer.Option("--full", help="Keep single precision: twice the size.")] = False,
    data: Annotated[
        Path | None,
        typer.Option(
            help="Folder with val/SYNSET/*, or tar shards of it: the accuracy is measured on it, and the temperature "
            "fitted to it that every probability is then calibrated by; the order of classes stays.",
            show_default=False,
        ),
    ] = None,
    name: Annotated[str, typer.Option(help="The net's name in its record and in URLs. Default: OUT's.")] = "",
    licence: Annotated[str, typer.Option(help="The terms of the weights, for the record.")] = "unspecified",
    strict: Strict = False,
    device: Where = Device.AUTO,
) -> None:
    """Turn trained weights of AlexNet or VGG into a checkpoint; batch normalisation is folded into the convolutions."""
    from ..net.checkpoint import save
    from ..net.torchvision_nets import NAMES

    if architecture not in NAMES:
        raise typer.BadParameter(
            f"{architecture!r} is none of {', '.join(NAMES)}: what is explained is a chain of convolutions, ReLU and "
            "pools, then linear layers; a net with branches, such as ResNet, is none"
        )
    place = picked(device)
    console = Console(stderr=True, soft_wrap=True)
    try:
        _check_out(out, file, labels)
        checkpoint = _imported(architecture, file, labels, name or out.stem, licence, full)
        pictures = None if data is None else _opened(data, checkpoint.record, strict, console)
        writable(out.parent)
        checkpoint = replace(checkpoint, record=save(checkpoint.chain, checkpoint.record, out, full))
        if pictures is not None:
            with console.status("measuring the accuracy"):
                checkpoint = _validated(checkpoint, out, *pictures, place)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    for line in _summary(checkpoint, out):
        tell(Console(), line)


def _check_out(out: Path, file: Path, labels: Path) -> None:
    """Raise ValueError where nothing can be written under this name, or what is read would be lost."""
    from ..net.checks import check_weights_path

    check_weights_path(out)
    for written in (out, out.with_suffix(".json")):
        if written.resolve() in (file.resolve(), labels.resolve()):
            raise ValueError(f"--out {out} would overwrite {written}, which is read: name another")


def _imported(architecture: str, file: Path, labels: Path, name: str, licence: str, full: bool) -> "Checkpoint":
    """The net of a state dict as a checkpoint in memory. Raises ValueError for what cannot be imported."""
    from ..net.class_names import read_class_names
    from ..net.own import own_checkpoint
    from ..net.record import Record
    from ..net.torchvision_nets import PREPROCESSING, classes_of, read_net

    net = read_net(architecture, file)
    classes = read_class_names(labels, classes_of(net))
    record = Record(
        name=name, architecture=architecture, classes=classes, preprocessing=PREPROCESSING,
        training={}, validation=None, licence=licence,
    )  # fmt: skip
    return own_checkpoint(net, record, full)


def _opened(data: Path, record: "Record", strict: bool, console: Console) -> tuple["Source", "Tensor"]:
    """The pictures that the accuracy is measured on, and their labels. Raises ValueError for those of other classes."""
    from ..accuracy.validation import validation_pictures

    return validation_pictures(data, record, tolerance(strict, console))


def _validated(
    checkpoint: "Checkpoint", path: Path, pictures: "Source", labels: "Tensor", device: "torch.device"
) -> "Checkpoint":
    """The checkpoint with its accuracy, which is written into the record."""
    from ..accuracy.accuracy import accuracy, as_validation
    from ..accuracy.logits import logits
    from ..net.checkpoint import write_record

    record = checkpoint.record
    found = logits(checkpoint.chain.placed(device), pictures, record.preprocessing)
    record = replace(record, validation=as_validation(accuracy(found, labels), record.classes))
    write_record(record, path)
    return replace(checkpoint, record=record)


def _summary(checkpoint: "Checkpoint", path: Path) -> list[str]:
    record, storage = checkpoint.record, checkpoint.record.storage or {}
    measured = "accuracy not measured: --data measures it"
    if record.validation:
        measured = f"top-1 {record.validation['top1']:.2%} of {record.validation['images']:,} pictures"
    return [
        f"{path}: {record.architecture}, {len(record.classes):,} classes, {len(checkpoint.chain.features)} layers, "
        f"{path.stat().st_size / 2**20:.1f} MiB",
        f"stored in {storage['precision']}: a logit differs by {storage['largest_logit_difference']:g} at most, over "
        f"{storage['pictures']} random pictures",
        measured,
        f"next: zfnet-explainer serve --weights {shlex.quote(str(path))}",
    ]
