"""What a process that measures memory does: steps of known sizes, then a net of known size."""

import json
from functools import partial
from pathlib import Path

import torch
from torch import nn

from zfnet_explainer.net.chain import Chain
from zfnet_explainer.studies.speed.machine import CPU, peak_memory

from ...chains import named, seeded

CLASSES = 4096
WEIGHTS = 4 * CLASSES**2  # bytes of the last layer's
STEPS = (0, 64, 128)  # MiB
ROUNDS = 3


def wide(steps: Path) -> Chain:
    """A net for pictures of 32 x 32 pixels with many classes; before that, the peaks of STEPS go to a file."""
    rounds = [[peak_memory(partial(hold, step), CPU) for step in STEPS] for _ in range(ROUNDS)]
    steps.write_text(json.dumps(rounds))
    layers = (
        *(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(4, 4), nn.Flatten()),
        *(nn.Linear(4 * 8 * 8, CLASSES), nn.ReLU(), nn.Linear(CLASSES, CLASSES)),
    )
    return seeded(Chain(named(*layers), (3, 32, 32)), 0)


def hold(mebibytes: int) -> None:
    """Touch so much memory and let it go."""
    torch.ones(mebibytes << 20, dtype=torch.uint8)
