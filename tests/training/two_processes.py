"""What each of two processes does in `test_processes.py`: OUT is where the run and each one's weights go."""

import sys
from dataclasses import replace
from pathlib import Path

import torch
from rich.console import Console

from zfnet_explainer.training.place import joined
from zfnet_explainer.training.recipe import Precision

from .test_loop import RECIPE, trainer

PLAIN = replace(
    RECIPE, batch_norm=False, dropout=0.0, mixing=0.0, precision=Precision.FLOAT32, learning_rate=0.08, warm_up=0.1
)
NORMALISED = replace(PLAIN, batch_norm=True)


def main(out: Path) -> None:
    with joined(torch.device("cpu"), Console(width=200), loaders=0) as place:
        for name, recipe in (("plain", PLAIN), ("normalised", NORMALISED)):
            run = trainer(out / name, recipe, count=61, place=place)
            run.run()
            torch.save(run.net.state_dict(), out / name / f"rank{place.rank}.pt")
        if place.rank == 1:
            raise RuntimeError("the second process fails")
        place.total(torch.zeros(1))  # waits for the other


if __name__ == "__main__":
    main(Path(sys.argv[1]))
