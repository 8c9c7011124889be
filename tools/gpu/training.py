"""Pictures a second while a net is trained: the loop itself, on pictures that stand in memory."""

import tempfile
from dataclasses import replace
from pathlib import Path

import torch
from rich.console import Console
from tests import narrow

from zfnet_explainer.cores import usable_cores
from zfnet_explainer.net.record import Preprocessing
from zfnet_explainer.net.zfnet import zfnet
from zfnet_explainer.pictures.labelled import Pictures
from zfnet_explainer.training.held_back import Part
from zfnet_explainer.training.log import read_log
from zfnet_explainer.training.loop import Trainer
from zfnet_explainer.training.process import Process
from zfnet_explainer.training.recipe import FAST, Phase
from zfnet_explainer.training.run import suited
from zfnet_explainer.training.views import fitting

from .task import Task

SIDES = 128, 224  # pixels of the crops: a run's first phase, and its last
CLASSES = 20
PICTURES = 4096
EPOCH = 32_768  # each picture eight times: what the loaders' start takes is then a small part


def training(task: Task) -> None:
    """Two epochs for each side; the second one counts, for the first waits for what torch sets up."""
    sides, count, epoch = (SIDES[-1:], CLASSES, CLASSES) if task.tiny else (SIDES, PICTURES, EPOCH)
    recipe = replace(FAST, phases=tuple(Phase(side, 2) for side in sides), norm_epochs=2, batch=min(FAST.batch, count))
    chain = narrow.zfnet(CLASSES, {}) if task.tiny else zfnet(CLASSES, recipe.ranks)
    process = Process(task.device, Console(quiet=True), 0 if task.tiny else max(1, usable_cores() - 1))
    recipe = suited(recipe, process)
    process = fitting(recipe, process)
    pictures = Part(_noise(count), torch.arange(epoch) % count)
    preprocessing = Preprocessing(SIDES[-1], (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
    with tempfile.TemporaryDirectory() as name:
        out = Path(name)
        Trainer(chain, recipe, pictures, _noise(CLASSES), preprocessing, out, process).run()
        rows = read_log(out)
    task.keep(
        {
            "batch": recipe.batch,
            "precision": recipe.precision,
            "loaders": process.loaders,
            "epochs": [{"side": row["side"], "images_per_s": row["images_per_s"]} for row in rows[1::2]],
        }
    )


def _noise(count: int) -> Pictures:
    generator = torch.Generator().manual_seed(count)
    images = torch.randint(0, 256, (count, 3, SIDES[-1], SIDES[-1]), dtype=torch.uint8, generator=generator)
    return Pictures(
        images, torch.arange(count) % CLASSES, tuple(map(str, range(count))), tuple(map(str, range(CLASSES)))
    )
