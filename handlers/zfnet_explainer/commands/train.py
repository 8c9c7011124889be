"""`zfnet-explainer train`: a folder of labelled pictures -> weights that can be served."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console


def train(
    data: Annotated[Path, typer.Argument(help="Folder with train/CLASS/* and val/CLASS/*, or tar shards of them.")],
    out: Annotated[Path, typer.Option(help="Folder of the run: log, state to resume from, and the weights.")],
    labels: Annotated[
        Path | None, typer.Option(help='JSON {"CLASS": "label"}; without it a folder\'s name is its label.')
    ] = None,
    phases: Annotated[
        str, typer.Option(help="SIDE:EPOCHS, ...: pixels of the crops and how long; the last side is the served one.")
    ] = "128:14,176:3,224:3",
    batch: Annotated[int, typer.Option(min=2, help="Pictures a step.")] = 64,
    learning_rate: Annotated[float, typer.Option(min=0, help="Peak of the cosine schedule.")] = 0.02,
    dropout: Annotated[float, typer.Option(min=0, max=0.95, help="After fc6 and fc7.")] = 0.4,
    seed: Annotated[int, typer.Option(help="Of the weights, the order and the crops.")] = 0,
    name: Annotated[str, typer.Option(help="The net's name in its record.")] = "zfnet",
    licence: Annotated[str, typer.Option(help="Terms of the weights, for their record.")] = "unspecified",
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
) -> None:
    """Train ZFNet and write OUT/zfnet.safetensors with its record; a killed run goes on where it was."""
    from ..training.recipe import Phase, Recipe  # torch takes seconds to import: --help does not wait for it
    from ..training.run import run
    from .local import pick_device

    console = Console()
    pairs = _phases(phases)
    last = len(pairs) - 1
    recipe = Recipe(
        tuple(Phase(side, epochs, cross_map_norm=i == last) for i, (side, epochs) in enumerate(pairs)),
        batch, learning_rate, dropout=dropout, seed=seed,
    )  # fmt: skip
    try:
        weights = run(data, out, recipe, labels, name, licence, pick_device(device), console)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    console.print(f"next: zfnet-explainer package --weights {weights}")


def _phases(text: str) -> list[tuple[int, int]]:
    try:
        pairs = [(int(side), int(epochs)) for side, epochs in (part.split(":") for part in text.split(","))]
    except ValueError as error:
        raise typer.BadParameter(f"--phases {text!r} is not SIDE:EPOCHS, ...") from error
    if pairs[-1][0] != 224 or any(side < 64 or epochs < 1 for side, epochs in pairs):
        raise typer.BadParameter(f"--phases {text!r}: sides from 64, epochs from 1, the last side is ZFNet's 224")
    return pairs
