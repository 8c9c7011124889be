"""What `test_processes.py` runs in two processes: OUT is where the runs and each process's weights go."""

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from rich.console import Console
from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from zfnet_explainer.pictures.labelled import StoredPictures, open_split, split_listing
from zfnet_explainer.pictures.stream import Tolerance
from zfnet_explainer.training.process import joined
from zfnet_explainer.training.readable import readable
from zfnet_explainer.training.recipe import Augmentation
from zfnet_explainer.training.run import open_splits

from ..pictures.splits import STRICT
from .runs import RECIPE, trainer

PLAIN = replace(
    RECIPE,
    batch_norm=False,
    dropout=0.0,
    mixing=0.0,
    class_balance=0.0,
    augmentation=Augmentation.PLAIN,
    learning_rate=0.08,
    warm_up=0.1,
)
NORMALISED = replace(PLAIN, batch_norm=True)
COUNT = 61


def train(out: Path) -> None:
    """One process's part in both runs; the second one fails in the end, while the first waits for it."""
    with joined(torch.device("cpu"), Console(width=200), loaders=0) as process:
        stored = open_split(out / "data", "train", 16, limit=0, tolerance=STRICT)
        assert isinstance(stored, StoredPictures)
        names = readable(stored, out / "stored", process, Tolerance.of(False, lambda _: None)).names
        torch.save(names, out / f"names{process.rank}.pt")
        for name, recipe in (("plain", PLAIN), ("normalised", NORMALISED)):
            run = trainer(out / name, recipe, count=COUNT, process=process)
            run.run()
            torch.save(run.net.state_dict(), out / name / f"rank{process.rank}.pt")
        process.total(torch.zeros(1))  # both have saved
        files, mine = split_listing(out / "data", "train", STRICT), "plain" if process.first else "unshared"
        refused = [
            refusal(lambda: open_splits((files[process.rank :], files), out / "data", 16, out, process, STRICT)),
            refusal(lambda: trainer(out / mine, PLAIN, count=COUNT + process.rank, process=process)),
        ]
        (out / f"refused{process.rank}.json").write_text(json.dumps(refused))
        if process.rank == 1:
            raise RuntimeError("the second process fails")
        process.total(torch.zeros(1))  # waits for the other
        (out / "went-on").touch()


def refusal(attempt: Callable[[], object]) -> str:
    try:
        attempt()
    except ValueError as error:
        return str(error)
    return "it is none"


def launch(out: Path) -> None:
    """As `torchrun --standalone --nproc-per-node 2` does it, but for processes that have imported torch already."""
    config = LaunchConfig(
        1, 1, 2, rdzv_backend="c10d", rdzv_endpoint="localhost:0", max_restarts=0, start_method="fork",
        logs_specs=DefaultLogsSpecs(str(out / "logs")),
    )  # fmt: skip
    elastic_launch(config, train)(out)


if __name__ == "__main__":
    launch(Path(sys.argv[1]))
