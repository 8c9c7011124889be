"""A whole training run: pictures -> trained net -> checkpoint."""

from collections.abc import Mapping, Set
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from ..atomic import read_json
from ..messages import QUOTE, some
from ..net.precision import supported_precisions
from ..net.record import ClassName, Preprocessing, Record
from ..net.zfnet import zfnet
from ..pictures.files import PictureFile
from ..pictures.labelled import (
    Pictures,
    Source,
    StoredPictures,
    bytes_in_memory,
    channel_statistics,
    in_memory,
    opened,
    split_listing,
)
from ..pictures.memory import memory_limit
from ..pictures.stream import Tolerance
from .export import export
from .held_back import hold_back
from .log import RECORDED, read_log
from .loop import Trainer, check_batch
from .process import Process
from .readable import readable
from .recipe import Precision, Recipe
from .resume import as_stored, check_recipe, check_same, fingerprint, held_back_at_least
from .state import STATE, load_result
from .trainable import training_form
from .views import check_shared_memory

GREY_LEVEL = 1 / 255

Files = tuple[list[PictureFile], list[PictureFile]]  # to train on, to validate on


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
    files = list_splits(data, tolerance)
    _check_command(files[0], out, recipe, about, process, start)
    train, val = open_splits(files, data, recipe.phases[-1].side, out, process, tolerance)
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
            name=about.name, architecture="zfnet", classes=names, preprocessing=trainer.preprocessing,
            training=_training(trainer, out), validation=None, licence=about.licence,
        )  # fmt: skip
        share = export(trainer.trained(), record, weights, val, process.device)
        process.tell(f"top-1 {share:.2%} on {len(val)} pictures, as stored in {weights}")
    return weights


def _check_command(
    train: list[PictureFile], out: Path, recipe: Recipe, about: About, process: Process, start: Path | None
) -> None:
    """Raise ValueError for what can be wrong before the pictures are decoded, which takes minutes."""
    listed = StoredPictures(train, recipe.phases[-1].side)
    learnt = hold_back(listed, recipe.hold_back)[0] if recipe.hold_back else listed
    check_batch(len(learnt), recipe.batch, process.world)
    names = class_names(listed.classes, about.labels)
    if (out / STATE).exists():
        check_recipe(out, as_stored(recipe))
    if start:
        load_result(start, training_form(zfnet(len(names), recipe.ranks), recipe), torch.device("cpu"))


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


def list_splits(data: Path, tolerance: Tolerance) -> Files:
    """The files to train on and to validate on. Raises ValueError for splits that hold different classes."""
    train, val = (split_listing(data, split, tolerance) for split in ("train", "val"))
    _check_classes(data, _classes(train), _classes(val))
    return train, val


def open_splits(
    files: Files, data: Path, size: int, out: Path, process: Process, tolerance: Tolerance
) -> tuple[Source, Pictures]:
    """The pictures to train on, in memory where there is room in all processes, and those to validate on.

    Raises ValueError for splits of which different classes can be read, or more cannot be read than are tolerated, and
    for processes that see or read different files.
    """
    names = [fingerprint(tuple(file.name for file in split)) for split in files]
    check_same(process.gathered({"data": names}))
    room = _room_beside(len(files[1]), size, process)
    with process.console.status("reading the pictures"):
        train = opened(files[0], size, room, tolerance)
        if isinstance(train, StoredPictures):
            train = readable(train, out, process, tolerance)
        val = in_memory(files[1], size, tolerance)
    _check_read(files, (train, val), process)
    _check_classes(data, {*train.classes}, {*val.classes})
    return train, val


def _check_read(files: Files, splits: tuple[Source, Source], process: Process) -> None:
    """Raise ValueError where a process could not read a picture that another could."""
    pairs = zip(files, splits, strict=True)
    left_out = {name for listed, read in pairs for name in {file.name for file in listed}.difference(read.names)}
    by_process = process.gathered(left_out)
    if different := left_out.union(*by_process) - left_out.intersection(*by_process):
        raise ValueError(f"a machine could not read {min(different)}, which others could: try again")


def _room_beside(val: int, size: int, process: Process) -> int:
    """Bytes that the pictures to train on may take in every process, beside so many to validate on.

    Those are kept in memory in any case, also where they alone are too many, which is said.
    """
    limit, taken = min(process.gathered(memory_limit() // process.neighbours)), bytes_in_memory(val, size)
    if taken > limit:
        process.tell(
            f"the {val} validation pictures take {taken / 2**30:.1f} GiB of memory in each process, more than the "
            f"{limit / 2**30:.1f} GiB meant for all pictures: if the run is killed for memory, give it fewer in val/"
        )
    return limit - taken


def _classes(files: list[PictureFile]) -> set[str]:
    return {file.folder for file in files}


def _check_classes(data: Path, train: Set[str], val: Set[str]) -> None:
    for split, lacking in (("train", val - train), ("val", train - val)):
        if lacking:
            raise ValueError(f"{data}/{split} has no picture of {some(sorted(lacking))}, which the other split has")


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
