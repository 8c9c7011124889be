"""A training run of seconds, on pictures that a colour tells apart."""

import csv
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from rich.console import Console
from tensorboardX.proto.event_pb2 import Event, SessionLog

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
    """What TensorBoard shows of its files, by name and epoch: each told once, but for what a later file supersedes."""
    found: dict[tuple[str, int], float] = {}
    for path in sorted((out / "tensorboard").iterdir()):
        for event in events(path.read_bytes()):
            if event.session_log.status == SessionLog.START:
                found = {key: value for key, value in found.items() if key[1] < event.step}
            for value in event.summary.value:
                assert (value.tag, event.step) not in found, "told twice"
                found[value.tag, event.step] = value.simple_value
    return found


def events(content: bytes) -> Iterator[Event]:
    """Those of a file of TFRecords: length, checksum, event, checksum. Half a record ends it, as for TensorBoard."""
    at = 0
    while at < len(content):
        (length,) = struct.unpack_from("<Q", content, at)
        body = content[at + 12 : at + 12 + length]
        if len(content) < at + 12 + length + 4:
            return
        for part, place in ((content[at : at + 8], at + 8), (body, at + 12 + length)):
            assert struct.unpack_from("<I", content, place) == (masked(part),)
        yield Event.FromString(body)
        at += 12 + length + 4


def masked(part: bytes) -> int:
    """CRC-32C, bit by bit, and what TensorFlow makes of it."""
    crc = 0xFFFFFFFF
    for bit in range(8 * len(part)):
        crc ^= part[bit // 8] if bit % 8 == 0 else 0
        crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def told(rows: list[dict[str, str]]) -> dict[tuple[str, int], float]:
    """The same values from `log.csv`."""
    return {(name, int(row["epoch"])): float(v) for row in rows for name, v in row.items() if name != "epoch"}


def after_each_step(follow: Callable[[], None]) -> Hook:
    """What an optimiser calls after its steps."""
    return lambda *_: follow()
