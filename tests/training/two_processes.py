"""What `test_processes.py` runs in two processes: OUT is where the runs and each process's weights go."""

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import torch
from rich.console import Console
from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from zfnet_explainer.pictures.files import PictureFile
from zfnet_explainer.pictures.labelled import StoredPictures, open_split, split_listing
from zfnet_explainer.pictures.stream import Tolerance
from zfnet_explainer.training import run
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
MEMORY = (2**40, 2**10)  # of the two processes' machines


def train(out: Path) -> None:
    """One process's part in both runs; the second one fails in the end, while the first waits for it."""
    with joined(torch.device("cpu"), Console(width=200), loaders=0) as process:
        stored = open_split(out / "data", "train", 16, limit=0, tolerance=STRICT)
        assert isinstance(stored, StoredPictures)
        names = readable(stored, out / "stored", process, Tolerance(False, lambda _: None)).names
        torch.save(names, out / f"names{process.rank}.pt")
        for name, recipe in (("plain", PLAIN), ("normalised", NORMALISED)):
            one = trainer(out / name, recipe, count=COUNT, process=process)
            one.run()
            torch.save(one.net.state_dict(), out / name / f"rank{process.rank}.pt")
        process.total(torch.zeros(1))  # both have saved
        files, mine = readable_files(out / "data"), "plain" if process.first else "unshared"
        damaged = replace(files[0], path=out / "data/train/n1/007.png")
        own = [files[0] if process.first else damaged, *files[1:]]
        lenient = Tolerance(False, lambda _: None)
        with patch.object(run, "memory_limit", return_value=MEMORY[process.rank]):
            opened, _ = open_splits((files, files), out / "data", 16, out / "opened", process, STRICT)
        (out / f"kind{process.rank}").write_text(type(opened).__name__)
        refused = [
            refusal(lambda: open_splits((files[process.rank :], files), out / "data", 16, out, process, STRICT)),
            refusal(lambda: open_splits((files, files[process.rank :]), out / "data", 16, out, process, STRICT)),
            refusal(lambda: trainer(out / mine, PLAIN, count=COUNT + process.rank, process=process)),
        ]
        (out / f"refused{process.rank}.json").write_text(json.dumps(refused))
        unread = refusal(lambda: open_splits((files, own), out / "data", 16, out / "opened", process, lenient))
        (out / f"unread{process.rank}").write_text(unread)
        if process.rank == 1:
            raise RuntimeError("the second process fails")
        process.total(torch.zeros(1))  # waits for the other
        (out / "went-on").touch()


def readable_files(data: Path) -> list[PictureFile]:
    return [file for file in split_listing(data, "train", STRICT) if not file.path.stem.endswith(("007", "008"))]


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
