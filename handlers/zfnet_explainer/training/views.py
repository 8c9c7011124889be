"""Random views of the pictures that are trained on."""

import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace
from math import ceil
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, DistributedSampler
from torchvision.transforms import v2

from ..pictures.labelled import Source
from ..pictures.stream import Unreadable
from .process import Process
from .recipe import Augmentation, Recipe

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108  where loaders hand their batches over, on Linux
AHEAD = 2  # batches that a loader has ready
GREY = 127
ERASED = 0.25


class RandomViews(Dataset[tuple[Tensor, int]]):
    """Random resized crops with flips, augmented as the recipe says, uint8 [3, side, side].

    A picture's view follows from the seed, the epoch and its index alone, whichever process cuts it.
    """

    def __init__(self, source: Source, recipe: Recipe, epoch: int) -> None:
        self.source, self.seed, self.epoch = source, recipe.seed, epoch
        phase = recipe.phase(epoch)
        crop = v2.RandomResizedCrop(phase.side, scale=phase.crops, antialias=True)
        self.view = v2.Compose([crop, v2.RandomHorizontalFlip(), *augmentations(recipe.augmentation)])

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed_of(self.seed, self.epoch, index))
            return self.view(self.source.picture(index)), int(self.source.labels[index])


def augmentations(kind: Augmentation) -> list[v2.Transform]:
    """What follows crop and flip, uint8 to uint8.

    `strong`: TrivialAugmentWide (Mueller & Hutter 2021: one of fourteen changes of colour or geometry, any strength),
    then random erasing (Zhong et al. 2020) of a quarter of the pictures. What is uncovered or erased is grey.
    """
    if kind == Augmentation.PLAIN:
        return []
    return [v2.TrivialAugmentWide(fill=GREY), v2.RandomErasing(ERASED, value=GREY)]


def batches(source: Source, recipe: Recipe, epoch: int, process: Process) -> DataLoader[tuple[Tensor, int]]:
    """This process's share of each batch of an epoch; all processes together see the batches of a lone one."""
    views = RandomViews(source, recipe, epoch)
    order: DistributedSampler[tuple[Tensor, int]] = DistributedSampler(
        views, process.world, process.rank, seed=seed_of(recipe.seed), drop_last=True
    )
    order.set_epoch(epoch)
    # Elsewhere, and by default from Python 3.14 on, each loader would get a copy of all pictures that are in memory.
    forked = "fork" if process.loaders and sys.platform == "linux" else None
    return DataLoader(
        views, recipe.batch // process.world, sampler=order, num_workers=process.loaders, drop_last=True,
        prefetch_factor=AHEAD if process.loaders else None, pin_memory=process.device.type == "cuda",
        multiprocessing_context=forked,
    )  # fmt: skip


def drawn(loader: DataLoader[tuple[Tensor, int]]) -> Iterator[tuple[Tensor, Tensor]]:
    """A loader's batches. Raises ValueError for a picture that cannot be read now, without its process's traceback."""
    try:
        yield from loader
    except Unreadable as error:
        told = str(error).rpartition(f"{Unreadable.__name__}: ")[2].strip()
        raise ValueError(
            f"{told}; it could be read when the run began: see to it and give the same command again, which goes on "
            "where it was"
        ) from error


def check_shared_memory(recipe: Recipe, process: Process) -> None:
    """Raise ValueError where the loaders' batches find no place: a container has 64 MiB, and they would be killed."""
    if not process.loaders or not SHARED_MEMORY.is_dir():
        return
    batch = recipe.batch // process.world * 3 * max(phase.side for phase in recipe.phases) ** 2
    needed = process.neighbours * (process.loaders * AHEAD + 1) * batch
    free = shutil.disk_usage(SHARED_MEMORY).free
    if free < needed:
        raise ValueError(
            f"{process.loaders} loaders hand over {ceil(needed / 2**20)} MiB through {SHARED_MEMORY}, which has "
            f"{free // 2**20} MiB free: choose --loaders 0, or give the container more (docker run --shm-size 1g)"
        )


def fitting(recipe: Recipe, process: Process) -> Process:
    """With as many of its loaders as shared memory has place for: none, perhaps, in a container."""
    while True:
        try:
            check_shared_memory(recipe, process)
        except ValueError:
            process = replace(process, loaders=process.loaders - 1)
        else:
            return process


def seed_of(*numbers: int) -> int:
    """One seed out of several numbers."""
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])
