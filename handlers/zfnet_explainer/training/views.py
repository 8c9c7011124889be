"""Random views of the pictures that are trained on."""

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, DistributedSampler
from torchvision.transforms import v2

from ..pictures.labelled import Source
from .process import Process
from .recipe import Recipe


class RandomViews(Dataset[tuple[Tensor, int]]):
    """Random resized crops with flips, uint8 [3, side, side].

    A picture's view follows from the seed, the epoch and its index alone, whichever process cuts it.
    """

    def __init__(self, source: Source, recipe: Recipe, epoch: int) -> None:
        self.source, self.seed, self.epoch = source, recipe.seed, epoch
        self.view = v2.Compose(
            [
                v2.RandomResizedCrop(recipe.side(epoch), scale=(recipe.smallest_crop, 1.0), antialias=True),
                v2.RandomHorizontalFlip(),
            ]
        )

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(mixed(self.seed, self.epoch, index))
            return self.view(self.source.picture(index)), int(self.source.labels[index])


def batches(source: Source, recipe: Recipe, epoch: int, process: Process) -> DataLoader[tuple[Tensor, int]]:
    """This process's share of each batch of an epoch; all processes together see the batches of a lone one."""
    views = RandomViews(source, recipe, epoch)
    order: DistributedSampler[tuple[Tensor, int]] = DistributedSampler(
        views, process.world, process.rank, seed=mixed(recipe.seed), drop_last=True
    )
    order.set_epoch(epoch)
    return DataLoader(
        views, recipe.batch // process.world, sampler=order, num_workers=process.loaders, drop_last=True,
        pin_memory=process.device.type == "cuda",
    )  # fmt: skip


def mixed(*numbers: int) -> int:
    """One seed out of several numbers."""
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])
