"""A small trained net on disk, a folder of small pictures, and an atlas of the two."""

from collections.abc import Mapping
from pathlib import Path

import torch
from PIL import Image
from rich.progress import Progress

from tests.chains import like_zfnet, seeded
from tests.samples import noise
from zfnet_explainer.net.chain import Chain
from zfnet_explainer.net.checkpoint import ARCHITECTURES, Checkpoint, load, save
from zfnet_explainer.net.record import ClassName, Preprocessing, Record
from zfnet_explainer.pictures.atlas import Atlas
from zfnet_explainer.pictures.stream import Tolerance
from zfnet_explainer.studies.gallery import search
from zfnet_explainer.studies.gallery.build import build
from zfnet_explainer.studies.gallery.plan import Plan

SIDE = 37
PLAN = Plan(sample=4, seed=0, patches=True)
CPU = torch.device("cpu")


def tiny(classes: int, ranks: Mapping[str, int]) -> Chain:
    """Three feature layers of 6, 8 and 7 maps, five classes; built here also where the default device is another."""
    assert classes == 5
    assert not ranks
    with CPU:
        return like_zfnet(seed=3, size=(3, SIDE, SIDE))


ARCHITECTURES["tiny"] = tiny
search.BATCH = 8  # few pictures are several batches


def write_weights(folder: Path, seed: int = 3) -> Path:
    """A checkpoint of the small net, its weights drawn by the seed; its record has the classes n0 to n4."""
    names = tuple(ClassName(f"n{i}", f"class {i}") for i in range(5))
    preprocessing = Preprocessing(SIDE, (0.5, 0.4, 0.3), (0.2, 0.25, 0.3))
    record = Record("tiny", "tiny", names, preprocessing, {}, {"top1": 0.5, "images": 10}, "CC0-1.0")
    save(seeded(tiny(5, {}), seed), record, folder / "tiny.safetensors")
    return folder / "tiny.safetensors"


def write_pictures(data: Path, count: int) -> Path:
    """Pictures `val/n0/00.png`, `val/n1/01.png`, ... of two sizes, of five classes in turn."""
    for i in range(count):
        file = data / "val" / f"n{i % 5}" / f"{i:02}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(noise(SIDE, SIDE + 7 * (i % 2), seed=i)).save(file)
    return data


def checkpoint(weights: Path) -> Checkpoint:
    return load(weights)


def built(weights: Path, data: Path, out: Path, plan: Plan = PLAN, strict: bool = False) -> Atlas:
    tolerance = Tolerance(strict, lambda _: None)
    return build(load(weights), data, "val", out, plan, CPU, Progress(disable=True), tolerance)
