"""The bench's own measurements, row by row."""

from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from itertools import product

import torch
from tests import narrow
from tests.chains import seeded

from zfnet_explainer.net.chain import Chain
from zfnet_explainer.studies.speed import contenders, nets, projections
from zfnet_explainer.studies.speed import occlusion as maps
from zfnet_explainer.studies.speed import rivals as others
from zfnet_explainer.studies.speed.machine import describe
from zfnet_explainer.studies.speed.results import Results

from .task import Task

WINDOWS, STRIDES = (32, 16), (8, 4)
PRECISIONS = "float32", "bfloat16", "float16"
TINY_WINDOW = 112  # of a picture of 224: four squares


def occlusion(task: Task) -> None:
    """Maps of ZFNet, the grids that are asked for most first."""
    grids = [(TINY_WINDOW, TINY_WINDOW)] if task.tiny else list(product(WINDOWS, STRIDES))
    precisions = PRECISIONS[:1] if task.tiny else PRECISIONS
    _maps(task, "zfnet", [maps.Case("zfnet", *grid, one) for grid in grids for one in precisions])


def vgg16(task: Task) -> None:
    """Maps of VGG16, for which others have published figures."""
    grid = (TINY_WINDOW, TINY_WINDOW) if task.tiny else (16, 4)
    _maps(task, "vgg16", [maps.Case("vgg16", *grid, "float32")])


def rivals(task: Task) -> None:
    """One map of ZFNet beside what a card can do in TF32 and bfloat16, and nine projections beside Captum's."""
    found = Results(task.machine, _repeats(task))
    build = _net(task, "zfnet")
    exact = contenders.timed(build(), task.device, torch.float32)
    found.projections.append(projections.measure("zfnet", exact, found.repeats))
    task.keep(asdict(found))
    for grid in [(TINY_WINDOW, TINY_WINDOW)] if task.tiny else [(32, 8), (16, 4)]:
        found.rivals.extend(others.measure("zfnet", build, *grid, task.device, found.repeats))
        task.keep(asdict(found))


def _maps(task: Task, net: str, cases: list[maps.Case]) -> None:
    here = describe(task.device, tuple(dict.fromkeys(case.precision for case in cases)))
    found = Results(here, _repeats(task))
    for case in cases:
        row = maps.measure(_net(task, net), case, here, task.device, found.repeats)
        found.occlusion.append(row)
        task.keep(asdict(found))


def _repeats(task: Task) -> int:
    return 1 if task.tiny else 3


def _net(task: Task, name: str) -> Callable[[], Chain]:
    return _tiny if task.tiny else partial(nets.net, name)


def _tiny() -> Chain:
    return seeded(narrow.zfnet(10, {}), 0)
