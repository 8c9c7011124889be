"""`zfnet-explainer figures 6`: what clipping and a smaller stride do to the first layers (Figure 6)."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from ..atomic import json_text, whole, write_whole
from ..torchserve.devices import Device
from .device import Where, picked
from .paths import writable
from .reading import Strict, tolerance
from .tables import Pages, put, shown_at_last

if TYPE_CHECKING:  # torch takes seconds to import: --help does not wait for it
    from ..studies.figure6.figure import Studied

SIZE = 224
PICTURES = (".png", ".webp")


def figure6(
    data: Annotated[Path, typer.Argument(help="Folder with train/CLASS/* and val/CLASS/*, or tar shards of them.")],
    out: Annotated[Path, typer.Option(help="Folder of the three runs, the numbers (figure6.json), and the figure.")],
    epochs: Annotated[int, typer.Option(min=1, help="Epochs of each net.")] = 8,
    side: Annotated[int, typer.Option(min=64, max=SIZE, help="Pixels of the crops.")] = 128,
    learning_rate: Annotated[float | None, typer.Option(min=0, help="Of all three nets.")] = None,
    filter_radius: Annotated[float | None, typer.Option(min=0, help="Of the two nets that are clipped.")] = None,
    batch: Annotated[int | None, typer.Option(min=2, help="Pictures a step.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Of the weights, the order and the crops.")] = None,
    figure: Annotated[
        Path | None,
        typer.Option(dir_okay=False, help="The picture to write, .png or .webp; figure6.png in OUT without it."),
    ] = None,
    strict: Strict = False,
    into: Pages = None,
    device: Where = Device.AUTO,
) -> None:
    """Train three nets alike and draw their first two layers: unclipped, with AlexNet's stem, and ours.

    A killed run goes on where it was; finished nets are only drawn.
    """
    from PIL import Image

    from ..studies.figure6.comparison import CONTENDERS, RECIPE, train
    from ..studies.figure6.figure import draw, number_table, study
    from ..training.loop import check_batch
    from ..training.process import Process
    from ..training.recipe import Phase, with_options
    from ..training.run import list_splits, open_splits, preprocessing_of, suited
    from ..training.views import fitting

    recipe = with_options(
        RECIPE, phases=(Phase(side, epochs, (0.35, 1.0)),), learning_rate=learning_rate,
        filter_radius=filter_radius, batch=batch, seed=seed,
    )  # fmt: skip
    process = Process(picked(device), Console())
    recipe = suited(recipe, process)
    process = fitting(recipe, process)
    picture = figure or out / "figure6.png"
    if picture.suffix not in PICTURES:  # not after hours of training
        raise typer.BadParameter(f"--figure {picture}: name a picture that ends in {' or '.join(PICTURES)}")
    for folder in {out, picture.parent}:
        writable(folder)
    try:
        tolerated = tolerance(strict, process.console)
        files = list_splits(data, tolerated)
        check_batch(len(files[0]), recipe.batch, process.world)
        pictures, val = open_splits(files, data, SIZE, out, process, tolerated)
        preprocessing = preprocessing_of(pictures, SIZE, recipe.scale_inputs)
        studied = []
        for contender in CONTENDERS:
            process.console.print(contender.title)
            trained = train(contender, recipe, pictures, val, preprocessing, out, process)
            studied.append(study(trained, val))
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    tables = [number_table(studied)]
    with shown_at_last(tables):
        write_whole(out / "figure6.json", json_text(_numbers(studied, asdict(recipe))))
        with whole(picture) as staged:
            Image.fromarray(draw(studied)).save(staged, picture.suffix[1:], optimize=True)
        put(into, tables)
    process.tell(f"{picture}, {out / 'figure6.json'}")


def _numbers(studied: "list[Studied]", recipe: dict[str, object]) -> dict[str, object]:
    """The recipe that all three share, and what was measured of each."""
    nets = {one.trained.contender.name: asdict(one.numbers) | {"log": one.trained.log} for one in studied}
    return {"recipe": recipe, "nets": nets}
