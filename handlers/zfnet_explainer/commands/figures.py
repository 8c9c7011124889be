"""`zfnet-explainer figures`: the paper's figures, drawn from a trained net."""

import shlex
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from ..atomic import write_whole
from ..pictures.atlas import atlas_folder
from ..printing import tell
from .figure6 import figure6
from .paths import WEIGHTS, writable

app = typer.Typer(help="Figures of the paper, drawn from a trained net.", no_args_is_help=True, rich_markup_mode=None)


@app.command("2", short_help="What the maps of each layer answer to most strongly.")
def figure_2(
    weights: Annotated[Path, typer.Option(help="The trained weights; beside them lies their record.")] = WEIGHTS,
    atlas: Annotated[
        Path | None,
        typer.Option(help="Folder of their atlas. Default: NAME.atlas, beside the weights.", show_default=False),
    ] = None,
    out: Annotated[Path, typer.Option(dir_okay=False, help="The picture to write, WebP.")] = Path("figure2.webp"),
    seed: Annotated[int, typer.Option(min=0, help="Of the maps that are shown.")] = 0,
) -> None:
    """What the maps of each layer answer to most strongly, from an atlas that `gallery` has built."""
    from ..net.checkpoint import load  # torch takes seconds to import: --help does not wait for it
    from ..net.record import BadCheckpoint
    from ..pictures.atlas import BadAtlas, load_atlas
    from ..studies.gallery.figure2 import figure_2 as draw

    if out.suffix != ".webp":
        raise typer.BadParameter(f"--out {out}: name a picture that ends in .webp")
    folder = atlas or atlas_folder(weights)
    try:
        record = load(weights).record
        found = load_atlas(folder, record.weights_sha256)
        if found is None:
            build = (
                f"zfnet-explainer gallery DATA --weights {shlex.quote(str(weights))} --out {shlex.quote(str(folder))}"
            )
            raise BadAtlas(f"there is no atlas {folder}: build it with `{build}`")
        writable(out.parent)
        picture = draw(found, folder, record, seed)
    except (BadCheckpoint, BadAtlas) as error:
        raise typer.BadParameter(str(error)) from error
    write_whole(out, picture)
    tell(Console(), f"{out}: {len(picture) / 1000:,.0f} kB")


app.command("6", short_help="Train three nets and draw their first two layers.")(figure6)
