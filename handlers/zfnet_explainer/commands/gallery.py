"""`zfnet-explainer gallery`: what each map answers to most strongly in a folder of pictures (Figure 2)."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from ..pictures.atlas import atlas_folder
from ..printing import tell
from ..torchserve.devices import Device
from .device import Where, picked
from .paths import WEIGHTS, writable
from .reading import Strict, tolerance
from .tables import Pages, put, shown_at_last

if TYPE_CHECKING:  # torch takes seconds to import: --help does not wait for it
    import torch

    from ..net.checkpoint import Checkpoint
    from ..pictures.atlas import Atlas

console = Console()
MAPS, SAMPLE = 32, 128


def gallery(
    data: Annotated[Path, typer.Argument(help="Folder with SPLIT/CLASS/*, or tar shards of it, or with any pictures.")],
    weights: Annotated[Path, typer.Option(help="The trained weights; beside them lies their record.")] = WEIGHTS,
    split: Annotated[str, typer.Option(help="Which split of the folder.")] = "val",
    out: Annotated[
        Path | None,
        typer.Option(
            file_okay=False,
            help="Folder of the atlas. Default: NAME.atlas, beside NAME.safetensors: there it is served from.",
            show_default=False,
        ),
    ] = None,
    maps: Annotated[
        int | None, typer.Option(min=1, help=f"Maps of each layer but the last, drawn at random. Default: {MAPS}.")
    ] = None,
    all_maps: Annotated[bool, typer.Option("--all-maps", help="All maps of all layers.")] = False,
    patches: Annotated[
        bool, typer.Option("--patches", help="Sheets of what the maps saw, too: parts of the pictures.")
    ] = False,
    notes: Annotated[
        bool,
        typer.Option(
            "--notes",
            help="Measure grouping, invariance and exaggeration, into notes.json; of the atlas that is there, if any.",
        ),
    ] = False,
    sample: Annotated[
        int | None, typer.Option(min=2, help=f"Pictures to take the notes on, drawn at random. Default: {SAMPLE}.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of everything that is drawn at random.")] = 0,
    strict: Strict = False,
    into: Pages = None,
    device: Where = Device.AUTO,
) -> None:
    """Build the atlas of these weights: each map's nine strongest activations over the pictures, projected.

    A killed run goes on where it was; an atlas that is there is not replaced by another. Explanations show the atlas
    as `others`, `figures 2` as a picture.
    """  # fmt: skip
    from ..net.checkpoint import load
    from ..pictures.atlas import load_atlas
    from ..studies.gallery.build import build, check_outside
    from ..studies.gallery.plan import Plan

    _check_used(maps, all_maps, notes, sample, into)
    place, folder = picked(device), out or atlas_folder(weights)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    try:
        checkpoint = load(weights)
        check_outside(folder, data, split)
        writable(folder)
        asked = maps is not None or all_maps or patches  # of what an atlas holds; notes alone are of any
        atlas = load_atlas(folder, checkpoint.record.weights_sha256) if notes and not asked else None
        if atlas is None:
            plan = Plan(None if all_maps else maps or MAPS, seed, patches)
            with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as progress:
                noted = tolerance(strict, progress.console)
                atlas = build(checkpoint, data, split, folder, plan, place, progress, noted)
        size = sum(len(content) for content in atlas.files.values()) / 2**20
        tell(console, f"{folder}: {atlas.pictures:,} pictures, {size:.2f} MiB")
        if notes:
            _notes(atlas, checkpoint, data, split, folder, sample or SAMPLE, seed, into, place)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def _check_used(maps: int | None, all_maps: bool, notes: bool, sample: int | None, pages: list[Path] | None) -> None:
    """Raise typer.BadParameter for an option that would do nothing."""
    if all_maps and maps is not None:
        raise typer.BadParameter("--maps are some of each layer, --all-maps all: leave one of the two out")
    if not notes and sample is not None:
        raise typer.BadParameter("--sample is of the pictures for the notes: leave it out, or ask for --notes")
    if not notes and pages:
        raise typer.BadParameter("--into is for the tables of the notes: leave it out, or ask for --notes")


def _notes(
    atlas: "Atlas", checkpoint: "Checkpoint", data: Path, split: str, folder: Path, sample: int, seed: int,
    pages: list[Path] | None, device: "torch.device",
) -> None:  # fmt: skip
    from ..atomic import json_text, write_whole
    from ..explainer import Explainer
    from ..pictures.files import listing
    from ..pictures.stream import sampled
    from ..studies.gallery.notes import note_tables, take_notes
    from ..studies.gallery.plan import check_pictures

    listed = listing(data, split)
    check_pictures(atlas, listed, folder)
    with Console(stderr=True).status("taking the notes"):
        pictures = sampled(data, split, listed, sample, seed, checkpoint.record.preprocessing)
        if len(pictures) < 2:
            raise ValueError(f"{data} has {len(pictures)} picture: the notes need at least two")
        found = take_notes(atlas, checkpoint, Explainer(checkpoint, device), [p.pixels for p in pictures], seed)
    tables = note_tables(found)
    content = {"weights_sha256": checkpoint.record.weights_sha256, "seed": seed, **asdict(found)}
    with shown_at_last(tables):
        write_whole(folder / "notes.json", json_text(content))
        put(pages, tables)
