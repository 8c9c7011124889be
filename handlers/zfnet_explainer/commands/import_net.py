"""`zfnet-explainer import`: weights of torchvision's AlexNet or VGG -> a checkpoint that is explained and served."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from ..torchserve.archive import SERVABLE
from ..torchserve.devices import Device
from .device import Where, picked
from .reading import Strict

if TYPE_CHECKING:  # torch takes seconds to import: --help does not wait for it
    import torch

    from ..net.checkpoint import Checkpoint


def import_net(
    architecture: Annotated[str, typer.Argument(help="alexnet, vgg11, vgg13, vgg16, vgg19, or one of these with _bn.")],
    file: Annotated[Path, typer.Argument(help="torchvision's state dict: .safetensors, .pth or .pt.")],
    labels: Annotated[
        Path,
        typer.Option(help='JSON: {"SYNSET": "name"} sorted, ["name"], {"0": "name"} or {"0": ["SYNSET", "name"]}.'),
    ],
    out: Annotated[Path, typer.Option(help="The weights to write, .safetensors; the record (.json) goes beside them.")],
    full: Annotated[bool, typer.Option("--full", help="Keep single precision: twice the size.")] = False,
    data: Annotated[
        Path | None,
        typer.Option(
            help="Folder with val/SYNSET/*, or tar shards of it, to measure the accuracy on.", show_default=False
        ),
    ] = None,
    name: Annotated[str, typer.Option(help="The net's name in its record and in URLs. Default: OUT's.")] = "",
    licence: Annotated[str, typer.Option(help="The terms of the weights, for the record.")] = "unspecified",
    strict: Strict = False,
    device: Where = Device.AUTO,
) -> None:
    """Turn trained weights of AlexNet or VGG into a checkpoint; batch normalisation is folded into the convolutions."""
    from ..net.chain import UnsupportedLayer
    from ..net.checkpoint import BadCheckpoint
    from ..net.class_names import read_class_names
    from ..net.own import save_checkpoint
    from ..net.torchvision_nets import NAMES, PREPROCESSING, classes_of, read_net

    if architecture not in NAMES:
        raise typer.BadParameter(
            f"{architecture!r} is none of {', '.join(NAMES)}: what is explained is a chain of convolutions, ReLU and "
            "pools, then linear layers; a net with branches, such as ResNet, is none"
        )
    if not SERVABLE.fullmatch(name or out.stem):
        raise typer.BadParameter(f"--name {name or out.stem!r}: it stands in URLs, so of letters, digits and . _ -")
    place = picked(device)
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    try:
        net = read_net(architecture, file)
        classes = read_class_names(labels, classes_of(net))
        checkpoint = save_checkpoint(
            net, out, classes=classes, preprocessing=PREPROCESSING, name=name, architecture=architecture,
            licence=licence, full=full,
        )  # fmt: skip
        if data is not None:
            checkpoint = _validated(checkpoint, out, data, strict, place, console)
    except (BadCheckpoint, UnsupportedLayer, ValueError) as error:
        raise typer.BadParameter(str(error)) from error
    for line in _summary(checkpoint, out):
        Console(soft_wrap=True, highlight=False).print(line, markup=False)


def _validated(
    checkpoint: "Checkpoint", path: Path, data: Path, strict: bool, device: "torch.device", console: Console
) -> "Checkpoint":
    """The checkpoint with its accuracy, which is written into the record."""
    from dataclasses import replace

    from ..accuracy.accuracy import accuracy, as_validation
    from ..accuracy.logits import logits
    from ..net.checkpoint import write_record
    from ..pictures.stream import Tolerance
    from ..studies.faithfulness.sample import validation_pictures

    record = checkpoint.record
    with console.status("measuring the accuracy"):
        tolerance = Tolerance.of(strict, partial(console.print, markup=False))
        source, labels = validation_pictures(data, record, tolerance)
        found = logits(checkpoint.chain.placed(device), source, record.preprocessing, record.preprocessing.size)
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
        f"next: zfnet-explainer serve --weights {path}",
    ]
