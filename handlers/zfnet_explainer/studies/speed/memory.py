"""The memory that a first occlusion map takes.

On a CPU in a process of its own: a used one would fill what it has freed. On a GPU torch counts what is in use.
"""

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context

import torch

from ...methods.incremental.occluder import Occluder
from ...methods.squares import Squares
from ...net.chain import Chain
from . import contenders
from .machine import peak_memory


def of_first_map(build: Callable[[], Chain], grid: Squares, device: torch.device, dtype: torch.dtype) -> int | None:
    """Bytes above what the net and one evaluation of it hold, None where no system counts them.

    `build` is one that a process can be sent.
    """
    if device.type == "cuda":
        return _measured(build, grid, device, dtype)
    with ProcessPoolExecutor(1, get_context("spawn")) as process:
        return process.submit(_measured, build, grid, device, dtype).result()


def _measured(build: Callable[[], Chain], grid: Squares, device: torch.device, dtype: torch.dtype) -> int | None:
    on = contenders.timed(build(), device, dtype)
    new = Occluder(on.chain)  # the other one may hold what it was timed with
    new.way = on.occluder.way
    with torch.inference_mode():
        on.chain.run(on.image[None])
    return peak_memory(lambda: contenders.incremental(replace(on, occluder=new))(grid), device)
