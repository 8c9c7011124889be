"""`zfnet-explainer train`: a folder of labelled pictures -> weights that can be served."""

import re
import shlex
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from ..net.checks import check_licence, check_name, check_weights_path
from ..torchserve.devices import Device
from ..training.recipe import CROPS, RECIPES, Augmentation, Initialisation, Phase, Precision, RecipeName, with_options
from .device import Where, picked
from .paths import writable
from .reading import Strict, tolerance

PHASE = re.compile(r"(?P<side>\d+):(?P<epochs>\d+)(:(?P<smallest>\d*\.?\d+)(-(?P<largest>\d*\.?\d+))?)?")


def train(
    data: Annotated[Path, typer.Argument(help="Folder with train/CLASS/* and val/CLASS/*, or tar shards of them.")],
    out: Annotated[Path, typer.Option(help="Folder of the run: log, state to resume from, and the weights.")],
    labels: Annotated[
        Path | None, typer.Option(help='JSON {"CLASS": "label"}; without it a folder\'s name is its label.')
    ] = None,
    recipe: Annotated[
        RecipeName,
        typer.Option(
            help="Where the options below come from that are not given: long made the shipped net, fast takes a "
            "quarter of the time, paper is the paper's own."
        ),
    ] = RecipeName.LONG,
    start: Annotated[
        Path | None, typer.Option(help="Folder of another run: begin with its weights (a warm restart).")
    ] = None,
    phases: Annotated[
        str | None,
        typer.Option(
            help="SIDE:EPOCHS[:SMALLEST[-LARGEST]], ...: pixels of the crops, how long, and the share of a picture's "
            "area that they show (0.25-1 where it is left out); the last side is 224."
        ),
    ] = None,
    norm_epochs: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="How many of the last epochs use cross-map normalisation; "
            "give the number of all epochs for all of them.",
        ),
    ] = None,
    batch: Annotated[int | None, typer.Option(min=2, help="Pictures a step, over all processes.")] = None,
    learning_rate: Annotated[float | None, typer.Option(min=0, help="Peak of the cosine schedule.")] = None,
    warm_up: Annotated[float | None, typer.Option(min=0, help="Epochs from a tenth of the rate to all of it.")] = None,
    dropout: Annotated[float | None, typer.Option(min=0, max=0.95, help="After fc6 and fc7.")] = None,
    augmentation: Annotated[
        Augmentation | None, typer.Option(help="Crops and flips alone, or colour, geometry and erasing beside them.")
    ] = None,
    mixing: Annotated[
        float | None, typer.Option(min=0, max=1, help="Share of the batches mixed in pairs (CutMix, mixup).")
    ] = None,
    averaging: Annotated[
        float | None, typer.Option(min=0, max=0.99999, help="Of the weights: share of the past at each step.")
    ] = None,
    class_balance: Annotated[
        float | None, typer.Option(min=0, help="1: learn as if all classes had as many pictures; 0: as they have.")
    ] = None,
    hold_back: Annotated[
        float | None,
        typer.Option(
            min=0, max=0.5, help="Share of train/ to measure each epoch on; val/ is looked at once, at the end."
        ),
    ] = None,
    batch_norm: Annotated[
        bool | None, typer.Option(help="BatchNorm while training; it is folded away at the end.")
    ] = None,
    filter_radius: Annotated[
        float | None, typer.Option(min=0, help="Largest root mean square of a filter; 0 does not clip.")
    ] = None,
    scale_inputs: Annotated[
        bool | None, typer.Option(help="Divide by the pictures' deviation, or only subtract their mean.")
    ] = None,
    initialisation: Annotated[Initialisation | None, typer.Option(help="Of the weights.")] = None,
    precision: Annotated[
        Precision | None,
        typer.Option(help="Of the arithmetic inside the net. Default: the recipe's, where the processor has it."),
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Of the weights, the order and the crops.")] = None,
    strict: Strict = False,
    name: Annotated[str, typer.Option(help="The net's name in its record and in URLs.")] = "zfnet",
    licence: Annotated[str, typer.Option(help="Terms of the weights, for their record.")] = "unspecified",
    device: Where = Device.AUTO,
    loaders: Annotated[int, typer.Option(min=0, help="Processes that cut and flip pictures, for each device.")] = 2,
) -> None:
    """Train ZFNet and write OUT/zfnet.safetensors with its record; a killed run goes on where it was."""
    from ..training.process import joined  # torch takes seconds to import: --help does not wait for it
    from ..training.run import About, read_labels, run, suited

    chosen = with_options(
        RECIPES[recipe], phases=None if phases is None else _phases(phases), norm_epochs=norm_epochs, batch=batch,
        learning_rate=learning_rate, warm_up=warm_up, dropout=dropout, augmentation=augmentation,
        mixing=mixing, averaging=averaging, class_balance=class_balance, hold_back=hold_back, batch_norm=batch_norm,
        filter_radius=filter_radius, scale_inputs=scale_inputs, initialisation=initialisation,
        precision=precision, seed=seed,
    )  # fmt: skip
    try:
        check_name(name)
        check_licence(licence)
        check_weights_path(out / "zfnet.safetensors")
        about = About(name, licence, read_labels(labels) if labels else None)
        writable(out)
        with joined(picked(device), Console(), loaders) as process:
            suitable = chosen if precision else suited(chosen, process)
            weights = run(data, out, suitable, about, process, start, tolerance(strict, process.console))
            process.tell(f"next: zfnet-explainer serve --weights {shlex.quote(str(weights))}")
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def _phases(text: str) -> tuple[Phase, ...]:
    try:
        phases = tuple(map(_phase, text.split(",")))
    except ValueError as error:
        raise typer.BadParameter(f"--phases {text!r} is not SIDE:EPOCHS[:SMALLEST[-LARGEST]], ...") from error
    if phases[-1].side != 224 or any(phase.side < 64 or phase.epochs < 1 for phase in phases):
        raise typer.BadParameter(f"--phases {text!r}: sides from 64, epochs from 1, the last side is ZFNet's 224")
    if any(not 0.01 <= phase.crops[0] <= phase.crops[1] <= 1 for phase in phases):
        raise typer.BadParameter(f"--phases {text!r}: crops show from 0.01 to 1 of a picture, the smallest first")
    return phases


def _phase(text: str) -> Phase:
    found = PHASE.fullmatch(text.strip())
    if not found:
        raise ValueError(text)
    crops = (float(found["smallest"] or CROPS[0]), float(found["largest"] or CROPS[1]))
    return Phase(int(found["side"]), int(found["epochs"]), crops)
