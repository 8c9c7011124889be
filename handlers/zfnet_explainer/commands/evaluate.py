"""`zfnet-explainer evaluate`: how accurate a trained net is, and what its explanations are worth."""

from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ..atomic import json_text, whole, write_whole
from ..pictures.fill import FILLS
from ..torchserve.devices import Device
from .device import Where, picked
from .paths import WEIGHTS, writable
from .reading import Strict, tolerance
from .tables import Pages, put, shown_at_last

if TYPE_CHECKING:  # torch takes seconds to import: --help does not wait for it
    from matplotlib.figure import Figure
    from torch import Tensor

    from ..accuracy.groups import Groups
    from ..net.chain import Chain
    from ..net.record import Record
    from ..pictures.labelled import Source
    from ..studies.tables import Table


PICTURES, FILL = 200, "gray"


class Study(StrEnum):
    """What a person may want alone."""

    ACCURACY = "accuracy"
    EXPLANATIONS = "explanations"
    CONTRAST = "contrast"


def evaluate(
    data: Annotated[Path, typer.Argument(help="Folder with val/CLASS/*, or tar shards of it.")],
    weights: Annotated[Path, typer.Option(help="The trained weights; beside them lies their record.")] = WEIGHTS,
    only: Annotated[Study | None, typer.Option(help="One of the three studies. Default: all.")] = None,
    pictures: Annotated[
        int | None,
        typer.Option(min=2, help=f"Pictures to study the explanations on, drawn at random. Default: {PICTURES}."),
    ] = None,
    classes: Annotated[
        str | None,
        typer.Option(help="Classes to study contrasts on, by folder; commas between several. Default: all."),
    ] = None,
    groups: Annotated[
        Path | None,
        typer.Option(help='JSON {"GROUP": ["CLASS", ...]}: how well each group\'s classes are told from each other.'),
    ] = None,
    fill: Annotated[
        str | None,
        typer.Option(help=f"What covers a picture: {', '.join(FILLS)}; commas between several. Default: {FILL}."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of everything that is drawn at random.")] = 0,
    out: Annotated[
        Path | None,
        typer.Option(file_okay=False, help="Folder for numbers (JSON), tables (Markdown) and curves (PNG)."),
    ] = None,
    strict: Strict = False,
    into: Pages = None,
    device: Where = Device.AUTO,
) -> None:
    """Measure the accuracy of the stored weights, and what their explanations are worth."""
    from ..accuracy.groups import read_groups
    from ..accuracy.validation import validation_pictures
    from ..net.checkpoint import load
    from ..studies.faithfulness.calibrated import calibrated
    from ..studies.faithfulness.sample import labelled_sample, places_of, sample

    _check_used(only, pictures, classes, groups, fill)
    count, fills = pictures or PICTURES, _fills(FILL if fill is None else fill)
    place = picked(device)
    if out is not None:
        writable(out)
    try:
        checkpoint = load(weights)
        record = checkpoint.record
        grouped = read_groups(groups, record.classes) if groups else {}
        console = Console(stderr=True, soft_wrap=True)
        with console.status("reading the pictures"):
            source, labels = validation_pictures(data, record, tolerance(strict, console))
            alike = places_of(None if classes is None else _parts(classes), labels, record)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    chain = checkpoint.chain.placed(place)
    served = calibrated(chain, record.temperature)
    tables: list[Table] = []
    if only in (None, Study.ACCURACY):
        tables += _accuracy(chain, record, weights, source, labels, grouped, seed, out)
    if only in (None, Study.EXPLANATIONS):
        tables += _explanations(served, record, sample(source, count, seed), fills, seed, out)
    if only in (None, Study.CONTRAST):
        if len(record.classes) > 1:
            contrasted = labelled_sample(source, labels, alike, count, seed)
            tables += _contrasts(served, record, *contrasted, fills, seed, out)
        else:
            console.print("no contrasts: this net knows one class, and a contrast is between two")
    put(into, tables)


def _check_used(
    only: Study | None, pictures: int | None, classes: str | None, groups: Path | None, fill: str | None
) -> None:
    """Raise typer.BadParameter for an option of a study that is not asked for."""
    if only is Study.ACCURACY and (pictures is not None or fill is not None):
        raise typer.BadParameter(
            "--pictures and --fill are of the explanations and contrasts; accuracy takes all pictures as they are: "
            "leave them out, or ask for more than --only accuracy"
        )
    if classes is not None and only not in (None, Study.CONTRAST):
        raise typer.BadParameter(
            "--classes are those of the contrast study: leave them out, or ask for --only contrast"
        )
    if groups is not None and only not in (None, Study.ACCURACY):
        raise typer.BadParameter("--groups are of the accuracy study: leave them out, or ask for --only accuracy")


def _accuracy(
    chain: "Chain", record: "Record", weights: Path, source: "Source", labels: "Tensor", groups: "Groups", seed: int,
    out: Path | None,
) -> list["Table"]:  # fmt: skip
    from ..accuracy.accuracy import accuracy
    from ..accuracy.groups import group_accuracy
    from ..accuracy.logits import logits
    from ..studies.charts import draw_learning_curve
    from ..studies.first_layer import first_layer, first_layer_table
    from ..studies.model_card import accuracy_tables, card_tables, group_tables, log, training_tables

    with _progress() as progress:
        task = progress.add_task("accuracy", total=len(source))
        found = logits(chain, source, record.preprocessing, advance=lambda count: progress.advance(task, count))
    measured = accuracy(found, labels, record.temperature, seed)
    within = [group_accuracy(found, labels, name, classes) for name, classes in groups.items()]
    stem = first_layer(chain)
    told = [
        *accuracy_tables(measured, record), *group_tables(within), *training_tables(record), first_layer_table(stem),
    ]  # fmt: skip
    tables = [*told, *card_tables(record, weights)]
    with shown_at_last(told):
        if out is not None:
            classes = [asdict(name) for name in record.classes]
            content = {
                "weights_sha256": record.weights_sha256, "classes": classes, **asdict(measured),
                "groups": [asdict(group) for group in within], "first_layer": asdict(stem),
            }  # fmt: skip
            _write(out, "accuracy", content, tables)
            if learned := log(record.training):  # an imported net has none
                _draw(out / "learning-curve.png", draw_learning_curve(learned))
    return tables


def _explanations(
    chain: "Chain", record: "Record", pictures: "Tensor", fills: list[str], seed: int, out: Path | None
) -> list["Table"]:
    from ..studies.charts import draw_curves
    from ..studies.faithfulness.randomisation import weighted_layers
    from ..studies.faithfulness.study import RANDOMISED, study
    from ..studies.faithfulness.tables import explanation_tables

    with _progress() as progress:
        curves = progress.add_task("curves", total=len(pictures))
        stages = len(weighted_layers(chain))
        shuffling = progress.add_task("randomisation", total=stages * min(RANDOMISED, len(pictures)))
        found = study(
            chain, record.preprocessing, pictures, fills, seed,
            lambda count: progress.advance(curves, count), lambda count: progress.advance(shuffling, count),
        )  # fmt: skip
    tables = explanation_tables(found)
    with shown_at_last(tables):
        if out is not None:
            content = {"weights_sha256": record.weights_sha256, "seed": seed, **asdict(found)}
            _write(out, "explanations", content, tables)
            _draw(out / "curves.png", draw_curves(found))
    return tables


def _contrasts(
    chain: "Chain",
    record: "Record",
    pictures: "Tensor",
    labels: "Tensor",
    fills: list[str],
    seed: int,
    out: Path | None,
) -> list["Table"]:
    from ..studies.faithfulness.contrast import contrasts
    from ..studies.faithfulness.tables import contrast_tables

    with _progress() as progress:
        task = progress.add_task("contrasts", total=len(pictures))
        found = contrasts(
            chain, record.preprocessing, pictures, labels, fills, seed, lambda count: progress.advance(task, count)
        )
    tables = contrast_tables(found)
    with shown_at_last(tables):
        if out is not None:
            classes = [record.classes[index].synset for index in found.classes]
            content = {"weights_sha256": record.weights_sha256, "seed": seed, **asdict(found), "classes": classes}
            _write(out, "contrast", content, tables)
    return tables


def _write(out: Path, name: str, content: dict[str, Any], tables: list["Table"]) -> None:
    """The tables as Markdown, and what they were made from as JSON."""
    write_whole(out / f"{name}.json", json_text(content))
    text = "\n".join(f"## {table.title}\n\n{table.markdown()}" for table in tables)
    write_whole(out / f"{name}.md", text.encode())


def _draw(picture: Path, figure: "Figure") -> None:
    with whole(picture) as staged:
        figure.savefig(staged, format="png")


def _progress() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True))


def _fills(text: str) -> list[str]:
    fills = _parts(text.lower())
    if not set(fills) <= set(FILLS) or len(set(fills)) < len(fills):
        raise typer.BadParameter(f"--fill {text!r}: some of {', '.join(FILLS)}, separated by commas, each once")
    return fills


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",")]
