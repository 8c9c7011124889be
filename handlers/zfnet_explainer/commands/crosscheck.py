"""`zfnet-explainer crosscheck`: our projections and maps against Captum's, picture by picture."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table
from rich.text import Text

from ..pictures.files import read_file
from ..torchserve.devices import Device
from .device import Where
from .explain import found_pictures
from .paths import WEIGHTS

METHODS = ("deconv", "occlusion")


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
    """Compare with Captum's Deconvolution and Occlusion; ends with 1 where a difference is over 1e-4."""
    from .local import ask, local_service  # torch takes seconds to import: --help does not wait for it

    found_files = found_pictures(pictures)
    service = local_service(weights, device)
    every = ",".join(str(number) for number, _ in enumerate(service.rules.maps, 1))
    options = {
        "crosscheck": "captum", "images": "false", "layer": layer or every, "features": str(features),
        **{name: str(value) for name, value in (("window", window), ("stride", stride)) if value is not None},
    }  # fmt: skip
    table = Table("picture", *METHODS, "agrees", caption="largest difference over the largest value")
    all_agree = True
    for picture, relative in track(found_files, "comparing", console=Console(stderr=True)):
        try:
            encoded = read_file(picture)
        except OSError as error:
            raise typer.BadParameter(f"{picture}: it cannot be read: {error.strerror}") from error
        content = json.loads(ask(service, encoded, options).body)
        if "error" in content:
            raise typer.BadParameter(f"{picture}: {content['error']['message']}")
        found = [content["crosscheck"][method] for method in METHODS]
        said = "NO" if any(one["agrees"] is False for one in found) else "yes"
        if any(one["agrees"] is None for one in found):
            said = "rounded"  # by a device that keeps no float32
        all_agree = all_agree and said != "NO"
        differences = [f"{one['max_relative_difference']:.1e}" for one in found]
        table.add_row(Text(str(relative)), *differences, said)
    Console().print(table)
    if not all_agree:
        raise typer.Exit(1)
