"""`zfnet-explainer crosscheck`: our projections and maps against Captum's, picture by picture."""

import json
import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Column, Table
from rich.text import Text

from ..messages import shown
from ..printing import tell
from ..torchserve.devices import Device
from .asking import Ask, answer_to, check_options, ending, reason
from .device import Where
from .explain import found_pictures
from .paths import WEIGHTS


def crosscheck(
    pictures: Annotated[list[Path], typer.Argument(help="Pictures, or folders of them.")],
    layer: Annotated[
        str, typer.Option(help="Layers to compare, separated by commas. Default: all.", show_default=False)
    ] = "",
    features: Annotated[int, typer.Option(help="Strongest maps a layer.")] = 3,
    window: Annotated[
        int | None, typer.Option(help="Side of the occluding square, in pixels. Default: the server's.")
    ] = None,
    stride: Annotated[
        int | None, typer.Option(help="Pixels from one square to the next. Default: the server's.")
    ] = None,
    weights: Annotated[Path, typer.Option(help="Weights to compute with.")] = WEIGHTS,
    device: Where = Device.AUTO,
) -> None:
    """Compare with Captum's Deconvolution and Occlusion.

    Ends with 1 where a difference is over 1e-4 or a comparison failed, else with 65 where pictures were refused, and
    with 64 where an option is.
    """
    from ..options import METHODS  # torch takes seconds to import: --help does not wait for it
    from .local import asked_here, local_service

    found_files = found_pictures(pictures)
    service = local_service(weights, device)
    every = ",".join(str(number) for number, _ in enumerate(service.rules.maps, 1))
    options = {
        "crosscheck": "captum", "images": "false", "layer": layer or every, "features": str(features),
        **{name: str(value) for name, value in (("window", window), ("stride", stride)) if value is not None},
    }  # fmt: skip
    table = Table(
        Column("picture", overflow="fold"), *METHODS, "agrees", caption="largest difference over the largest value"
    )
    with ending():
        try:
            refusals = _compare(found_files, asked_here(service, options), table)
        finally:  # what was compared is not lost
            if table.rows:
                Console().print(table)
    disagree = "NO" in table.columns[-1].cells
    if disagree or any(status >= 500 for status in refusals):
        raise typer.Exit(1)
    if refusals:
        raise typer.Exit(os.EX_DATAERR)


def _compare(pictures: list[tuple[Path, Path]], ask: Ask, table: Table) -> list[int]:
    """Add a row for each picture, or say why there is none; the statuses of those. Raises Aborted."""
    refusals = []
    console = Console(stderr=True)
    with Progress(console=console) as progress:
        for picture, relative in progress.track(pictures, description="comparing"):
            status, body = answer_to(picture, ask)
            if status == 200:
                table.add_row(Text(shown(str(relative))), *_row(body))
                continue
            if not table.rows:  # options that were good for one picture are good for all
                check_options(status, body)
            tell(console, f"{picture}: {status} {reason(body)}")
            refusals.append(status)
    return refusals


def _row(body: bytes) -> list[str]:
    """The largest difference of each method, and whether all agree."""
    from ..options import METHODS

    content = json.loads(body)
    found = [content["crosscheck"][method] for method in METHODS]
    said = "rounded" if any(one["agrees"] is None for one in found) else "yes"  # by a device that keeps no float32
    if any(one["agrees"] is False for one in found):
        said = "NO"
    return [*(f"{one['max_relative_difference']:.1e}" for one in found), said]
