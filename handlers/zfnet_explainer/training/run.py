"""A whole training run: pictures -> trained net -> checkpoint."""

import json
from dataclasses import asdict
from pathlib import Path

import torch
from rich.console import Console

from ..net.checkpoint import ClassName, Preprocessing, Record
from ..net.zfnet import zfnet
from .data import channel_statistics, read_split
from .export import export
from .loop import Trainer
from .recipe import Recipe


def run(
    data: Path, out: Path, recipe: Recipe, labels: Path | None, name: str, licence: str,
    device: torch.device, console: Console,
) -> Path:  # fmt: skip
    """Train on `data` in the folder `out`, resuming what is there; the path of the checkpoint it ends with.

    Raises ValueError for data, labels or a folder that cannot be used.
    """
    size = recipe.phases[-1].side
    with console.status("reading the pictures into memory"):
        train, val = read_split(data, "train", size), read_split(data, "val", size)
    if train.classes != val.classes:
        raise ValueError(f"train/ and val/ of {data} do not hold the same classes")
    names = class_names(train.classes, labels)
    preprocessing = Preprocessing(size, *channel_statistics(train.images))
    console.print(f"{len(train)} pictures to train on, {len(val)} to validate on, {len(names)} classes")
    trainer = Trainer(zfnet(len(names), recipe.dropout), recipe, train, val, preprocessing, out, device)
    trainer.run()
    record = Record(
        name=name, architecture="zfnet", classes=names, preprocessing=preprocessing,
        training={"images": len(train), "recipe": asdict(recipe)}, validation={}, licence=licence,
    )  # fmt: skip
    weights = out / "zfnet.safetensors"
    share = export(trainer.net.cpu(), record, weights, val)
    console.print(f"top-1 {share:.2%} on {len(val)} pictures, as stored in {weights}")
    return weights


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
