"""One stage in this process: `python -m tools.gpu.stages STAGE --into FILE ...`, as tools.gpu starts it."""

import argparse
import logging
from importlib import import_module
from pathlib import Path

import torch

from .task import Task

# Where each stage's function stands: imported alone, so that what one needs and a machine lacks is no other's loss.
MODULES = {
    "tests": "tested", "served": "serving", "load": "serving", "occlusion": "bench", "rivals": "bench",
    "vgg16": "bench", "training": "training",
}  # fmt: skip


def perform(stage: str, task: Task) -> None:
    getattr(import_module(f".{MODULES[stage]}", __package__), stage)(task)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("stage", choices=MODULES)
    parser.add_argument("--into", type=Path, required=True)
    parser.add_argument("--device", type=torch.device, required=True)
    parser.add_argument("--tiny", action="store_true")
    asked = parser.parse_args()
    if asked.device.type == "cuda" and not torch.cuda.is_available():
        parser.error("torch sees no GPU here; --device cpu rehearses without one")
    logging.basicConfig(level=logging.INFO)  # what autotuning found is logged
    logging.getLogger("httpx").setLevel(logging.WARNING)  # not each of thousands of requests
    perform(asked.stage, Task(asked.device, asked.into, asked.tiny))
