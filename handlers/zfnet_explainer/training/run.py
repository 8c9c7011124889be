"""A whole training run: pictures -> trained net -> checkpoint."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..net.checkpoint import ClassName, Preprocessing, Record
from ..net.zfnet import zfnet
from ..pictures.labelled import MEMORY_LIMIT, Source, channel_statistics, open_split, read_split
from .export import export
from .log import RECORDED, read_log
from .loop import Trainer
from .process import Process
from .recipe import Recipe

GREY_LEVEL = 1 / 255


@dataclass(frozen=True)
class About:
    """What the record says of a net beside its training: name, terms, and a file of labels or None."""

    name: str
    licence: str
    labels: Path | None


def run(data: Path, out: Path, recipe: Recipe, about: About, process: Process, start: Path | None) -> Path:
    """Train on `data` in the folder `out`, resuming what is there; the path of the checkpoint it ends with.

    Raises ValueError for data, labels, a start or a folder that cannot be used.
    """
    size = recipe.phases[-1].side
    with process.console.status("reading the pictures"):
        train = open_split(data, "train", size, MEMORY_LIMIT // process.neighbours)
        val = read_split(data, "val", size)
    if train.classes != val.classes:
        raise ValueError(f"train/ and val/ of {data} do not hold the same classes")
    names = class_names(train.classes, about.labels)
    preprocessing = preprocessing_of(train, size, recipe.scale_inputs)
    process.console.print(f"{len(train)} pictures to train on, {len(val)} to validate on, {len(names)} classes")
    trainer = Trainer(zfnet(len(names), recipe.ranks), recipe, train, val, preprocessing, out, process, start)
    trainer.run()
    weights = out / "zfnet.safetensors"
    if process.first:
        record = Record(
            name=about.name, architecture="zfnet", classes=names, preprocessing=preprocessing,
            training=_training(trainer, out), validation={}, licence=about.licence,
        )  # fmt: skip
        share = export(trainer.trained(), record, weights, val)
        process.console.print(f"top-1 {share:.2%} on {len(val)} pictures, as stored in {weights}")
    return weights


def preprocessing_of(train: Source, size: int, scale: bool) -> Preprocessing:
    """The pictures' mean and deviation; one grey level in the deviation's place where inputs are not scaled."""
    mean, deviation = channel_statistics(train.sample())
    return Preprocessing(size, mean, deviation if scale else (GREY_LEVEL,) * len(mean))


def class_names(folders: tuple[str, ...], labels: Path | None) -> tuple[ClassName, ...]:
    """Each folder's label from a JSON file {"folder": "label"}, the folder's own name without one."""
    try:
        known = json.loads(labels.read_text()) if labels else dict(zip(folders, folders, strict=True))
        return tuple(ClassName(folder, known[folder]) for folder in folders)
    except KeyError as error:
        raise ValueError(f"{labels} has no label for {error}") from error
    except OSError as error:
        raise ValueError(f"cannot read {labels}: {error.strerror}") from error
    except (ValueError, TypeError) as error:
        raise ValueError(f'{labels} is not a JSON object {{"CLASS": "label"}}: {error}') from error


def _training(trainer: Trainer, out: Path) -> dict[str, Any]:
    """The record's `training`: how many pictures, the recipe, the run it began with, and the learning curve."""
    return {
        "images": len(trainer.train),
        "recipe": asdict(trainer.recipe),
        "start": trainer.about["start"],
        "log": [{name: row[name] for name in RECORDED} for row in read_log(out)],
    }
