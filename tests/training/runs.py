"""A training run of seconds, on pictures that a colour tells apart."""

import csv
import struct
from collections.abc import Callable
from pathlib import Path

import torch
from rich.console import Console
from tensorboardX.proto.event_pb2 import Event

from zfnet_explainer.net.record import Preprocessing
from zfnet_explainer.pictures.labelled import Pictures
from zfnet_explainer.training.loop import Trainer
from zfnet_explainer.training.process import Process
from zfnet_explainer.training.recipe import Augmentation, Phase, Precision, Recipe

from ..chains import like_zfnet

Hook = Callable[[torch.optim.Optimizer, tuple[object, ...], dict[str, object]], None]

SIDE = 37
PREPROCESSING = Preprocessing(SIDE, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
RECIPE = Recipe(
    (Phase(29, 1), Phase(SIDE, 2)),
    batch=4,
    learning_rate=0.05,
    dropout=0.5,
    seed=3,
    norm_epochs=2,
    mixing=0.5,
    averaging=0.9,
    augmentation=Augmentation.STRONG,
    class_balance=1.0,
    ranks={"fc1": 6},
    precision=Precision.FLOAT32,  # the other one takes ten times as long on a processor without its instructions
)
HERE = Process(torch.device("cpu"), Console(quiet=True), loaders=0)


def pictures(count: int) -> Pictures:
    """Five classes of one colour each, and noise."""
    generator = torch.Generator().manual_seed(count)
    labels = torch.arange(count) % 5
    noise = torch.randint(0, 120, (count, 3, SIDE, SIDE), generator=generator)
    images = noise + torch.tensor([0, 60, 120])[torch.stack([labels % 3, labels // 3, labels % 2], 1)][..., None, None]
    return Pictures(images.to(torch.uint8), labels, tuple(map(str, range(count))), tuple("abcde"))


def trainer(
    out: Path, recipe: Recipe = RECIPE, start: Path | None = None, count: int = 10, process: Process = HERE
) -> Trainer:
    chain = like_zfnet(size=(3, SIDE, SIDE)).requires_grad_()
    return Trainer(chain, recipe, pictures(count), pictures(7), PREPROCESSING, out, process, start)


def log(out: Path) -> list[dict[str, str]]:
    """The rows of a run's log as they are written."""
    with (out / "log.csv").open() as file:
        return list(csv.DictReader(file))


def scalars(out: Path) -> dict[tuple[str, int], float]:
    """What TensorBoard's newest file holds, by name and epoch."""
    content, at = max((out / "tensorboard").iterdir()).read_bytes(), 0
    found: dict[tuple[str, int], float] = {}
    while at < len(content):
        (length,) = struct.unpack_from("<Q", content, at)
        event = Event.FromString(content[at + 12 : at + 12 + length])
        found |= {(value.tag, event.step): value.simple_value for value in event.summary.value}
        at += 12 + length + 4
    return found


def told(rows: list[dict[str, str]]) -> dict[tuple[str, int], float]:
    """The same values from `log.csv`."""
    return {(name, int(row["epoch"])): float(v) for row in rows for name, v in row.items() if name != "epoch"}


def after_each_step(follow: Callable[[], None]) -> Hook:
    """What an optimiser calls after its steps."""
    return lambda *_: follow()
