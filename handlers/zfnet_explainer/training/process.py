"""Where a run computes: one process, or one of several that torchrun started (DistributedDataParallel)."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
from rich.console import Console
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from ..printing import tell

TIMEOUT = timedelta(minutes=10)

T = TypeVar("T")


@dataclass(frozen=True)
class Process:
    """A process of a run: its device, how many processes load pictures for it, and its rank among `world`.

    The first one (rank 0) alone prints, logs and saves.
    """

    device: torch.device
    console: Console
    loaders: int = 2
    rank: int = 0
    world: int = 1
    neighbours: int = 1  # processes on this machine, itself included

    @property
    def first(self) -> bool:
        return self.rank == 0

    def tell(self, line: str) -> None:
        """Print a line, whatever names are in it."""
        tell(self.console, line)

    def distributed(self, net: nn.Module) -> nn.Module:
        """The net whose gradients are averaged over all processes; BatchNorm sees all of a batch on GPUs only."""
        if self.world == 1:
            return net
        if self.device.type == "cuda":
            net = nn.SyncBatchNorm.convert_sync_batchnorm(net)  # type: ignore[no-untyped-call]
        return DistributedDataParallel(net)

    def total(self, counts: Tensor) -> list[float]:
        """Sums over all processes."""
        if self.world > 1:
            dist.all_reduce(counts)
        return counts.tolist()

    def gathered(self, value: T) -> list[T]:
        """Those of all processes, by rank."""
        values = [value] * self.world
        if self.world > 1:
            dist.all_gather_object(values, value)
        return values

    def align(self, net: nn.Module) -> None:
        """Give all processes the first one's running statistics."""
        if self.world > 1:
            for buffer in net.buffers():
                dist.broadcast(buffer, 0)


@contextmanager
def joined(device: torch.device, console: Console, loaders: int) -> Iterator[Process]:
    """This process, in torchrun's group where there is one.

    A process that fails leaves without a word to the others: torchrun then ends them.
    """
    process = Process(device, console, loaders)
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        yield process
        return
    rank, local = int(os.environ["RANK"]), int(os.environ["LOCAL_RANK"])
    if device.type == "cuda":
        device = torch.device("cuda", local)
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=TIMEOUT)
    neighbours = int(os.environ["LOCAL_WORLD_SIZE"])
    quiet = console if rank == 0 else Console(quiet=True)
    yield replace(process, device=device, console=quiet, rank=rank, world=world, neighbours=neighbours)
    dist.destroy_process_group()
