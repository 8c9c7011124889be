"""A whole training run: pictures -> trained net -> checkpoint."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from rich.text import Text

from ..messages import QUOTE, some
from ..net.class_names import read_json
from ..net.precision import supported_precisions
from ..net.record import ClassName, Preprocessing, Record
from ..net.zfnet import zfnet
from ..pictures.labelled import (
    MEMORY_LIMIT,
    Pictures,
    Source,
    StoredPictures,
    channel_statistics,
    open_split,
    read_split,
)
from ..pictures.stream import Tolerance
from .export import export
from .held_back import hold_back
from .log import RECORDED, read_log
from .loop import Trainer
from .process import Process
from .readable import readable
from .recipe import Precision, Recipe
from .resume import held_back_at_least
from .views import check_shared_memory

GREY_LEVEL = 1 / 255


@dataclass(frozen=True)
class About:
    """What the record says of a net beside its training: name, terms, and the label of each class or None."""

    name: str
    licence: str
    labels: Mapping[str, str] | None


def run(
    data: Path, out: Path, recipe: Recipe, about: About, process: Process, start: Path | None, tolerance: Tolerance
) -> Path:
    """Train on `data` in the folder `out`, resuming what is there; the path of the checkpoint it ends with.

    Raises ValueError for data, labels that lack a class, a start or a folder that cannot be used.
    """
    check_shared_memory(recipe, process)
    train, val = read_splits(data, recipe.phases[-1].side, out, process, tolerance)
    names = class_names(train.classes, about.labels)
    preprocessing = preprocessing_of(train, recipe.phases[-1].side, recipe.scale_inputs)
    trained, measured = hold_back(train, recipe.hold_back) if recipe.hold_back else (train, val)
    aside = f"{len(measured)} held back, " if recipe.hold_back else ""
    process.console.print(
        f"{len(trained)} pictures to train on, {aside}{len(val)} to validate on, {len(names)} classes"
    )
    trainer = Trainer(zfnet(len(names), recipe.ranks), recipe, trained, measured, preprocessing, out, process, start)
    _tell_of_start(trainer)
    trainer.run()
    weights = out / "zfnet.safetensors"
    if process.first:
        record = Record(
            name=about.name, architecture="zfnet", classes=names, preprocessing=preprocessing,
            training=_training(trainer, out), validation=None, licence=about.licence,
        )  # fmt: skip
        share = export(trainer.trained(), record, weights, val, process.device)
        told = f"top-1 {share:.2%} on {len(val)} pictures, as stored in {weights}"
        process.console.print(Text(told), soft_wrap=True)
    return weights


def _tell_of_start(trainer: Trainer) -> None:
    """Say where pictures are measured on that the weights may have been trained on."""
    start, share = trainer.metadata["start"], trainer.recipe.hold_back
    if start and held_back_at_least(start) < share:
        trainer.process.console.print(
            f"the run that this one begins with held {held_back_at_least(start):.0%} of its pictures back, this one "
            f"{share:.0%}: if they are the same pictures, the held-back top-1 is of some that its weights have learnt"
        )


def suited(recipe: Recipe, process: Process) -> Recipe:
    """The recipe, in float32 where the device has no instructions for its precision, which is said."""
    if recipe.precision in supported_precisions(process.device):
        return recipe
    process.console.print(
        f"this processor has no {recipe.precision} instructions: training in float32, several times quicker here"
    )
    return replace(recipe, precision=Precision.FLOAT32)


def read_splits(data: Path, size: int, out: Path, process: Process, tolerance: Tolerance) -> tuple[Source, Pictures]:
    """The pictures to train on in the folder `out`, in memory where there is room, and those to validate on.

    Raises ValueError for splits that hold different classes, or with more that cannot be read than are tolerated.
    """
    with process.console.status("reading the pictures"):
        train = open_split(data, "train", size, MEMORY_LIMIT // process.neighbours, tolerance)
        if isinstance(train, StoredPictures):
            train = readable(train, out, process, tolerance)
        val = read_split(data, "val", size, tolerance)
    for split, lacking in (("train", {*val.classes} - {*train.classes}), ("val", {*train.classes} - {*val.classes})):
        if lacking:
            raise ValueError(f"{data}/{split} has no picture of {some(sorted(lacking))}, which the other split has")
    return train, val


def preprocessing_of(train: Source, size: int, scale: bool) -> Preprocessing:
    """The pictures' mean and deviation; one grey level in the deviation's place where inputs are not scaled."""
    mean, deviation = channel_statistics(train.sample())
    return Preprocessing(size, mean, deviation if scale else (GREY_LEVEL,) * len(mean))


def read_labels(path: Path) -> dict[str, str]:
    """The JSON file {"CLASS": "label", ...}. Raises ValueError for anything else."""
    expected = f'{path} must be a JSON object {{"CLASS": "label", ...}}, each label a text that is not blank'
    found = read_json(path, expected)
    if not isinstance(found, dict):
        raise ValueError(f"{expected}, not {QUOTE.repr(found)}")
    for name, label in found.items():
        if not isinstance(label, str) or not label.strip():
            raise ValueError(f"{expected}: {QUOTE.repr(name)} has {QUOTE.repr(label)}")
    return found


def class_names(folders: tuple[str, ...], labels: Mapping[str, str] | None) -> tuple[ClassName, ...]:
    """Each folder's label, the folder's own name without labels. Raises ValueError for a folder that has none."""
    known = dict(zip(folders, folders, strict=True)) if labels is None else labels
    if lacking := [folder for folder in folders if folder not in known]:
        raise ValueError(f"the labels have none for class {some(lacking)}")
    return tuple(ClassName(folder, known[folder]) for folder in folders)


def _training(trainer: Trainer, out: Path) -> dict[str, Any]:
    """The record's `training`: how many pictures, the recipe, the run it began with, and the learning curve."""
    return {
        "images": len(trainer.train),
        "recipe": asdict(trainer.recipe),
        "start": trainer.metadata["start"],
        "log": [{name: row[name] for name in RECORDED if name in row} for row in read_log(out)],
    }
