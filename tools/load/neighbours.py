"""How long predictions take while other clients explain without a pause, in one server with two workers.

    python -m tools.load.neighbours --out docs/neighbours.md

With one explaining client a worker is always free for predictions, and explanations give way to them on the cores; with
as many as there are workers, predictions wait for explanations.
"""

import os
from collections import defaultdict
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Annotated

import httpx
import typer

from zfnet_explainer.cores import usable_cores
from zfnet_explainer.studies.speed.machine import processor

from .clients import EXPLAIN, PREDICT, Seen, asking, in_turn, together
from .out import Out, page, save, table
from .service import served

WORKERS = 2
CROWD = (0, 1, 2, 4)  # explaining clients
MAY_BE_SLOWER = 3
COLUMNS = "explaining clients", "predictions", "median ms", "p99 ms", "p99 over idle", "explanations/s"


@dataclass
class Beside:
    """Blocks of predictions beside so many clients that explain, and how many explanations those had meanwhile."""

    blocks: list[Seen] = field(default_factory=list)
    explained: int = 0

    @property
    def seen(self) -> Seen:
        return together(self.blocks)


def measure(client: httpx.Client, explaining: int, predictions: int, into: Beside) -> None:
    """One block of predictions."""
    with ExitStack() as stack:
        neighbours = [stack.enter_context(asking(client, EXPLAIN)) for _ in range(explaining)]
        before = sum(map(len, neighbours))
        into.blocks.append(in_turn(client, PREDICT, predictions))
        into.explained += sum(map(len, neighbours)) - before


def row(explaining: int, found: Beside, idle: Seen) -> dict[str, object]:
    """The figures of a line."""
    seen = found.seen
    return {
        "explaining": explaining,
        "predictions": len(seen.seconds),
        "median_ms": round(1000 * seen.median, 1),
        "p99_ms": round(1000 * seen.p99, 1),
        "p99_over_idle": round(seen.p99 / idle.p99, 2),
        "explanations_per_s": round(found.explained / seen.elapsed, 2),
    }


def main(
    out: Out,
    rounds: Annotated[
        int, typer.Option(min=1, help="Blocks of predictions for each number of explaining clients.")
    ] = 4,
    predictions: Annotated[int, typer.Option(min=10, help="Predictions a block.")] = 150,
) -> None:
    """Measure, and write the page; exit with 1 where one explaining client slows predictions too much."""
    found: dict[int, Beside] = defaultdict(Beside)
    with served(WORKERS) as server, httpx.Client(base_url=server.inference_url, timeout=600, trust_env=False) as client:
        in_turn(client, PREDICT, 10 * WORKERS)
        in_turn(client, EXPLAIN, 2 * WORKERS)
        # In turns, so that what else the machine does falls on all of them.
        for _ in range(rounds):
            for explaining in CROWD:
                # Whoever waits for explanations waits long: a few of them say it.
                count = predictions if explaining < WORKERS else max(10, predictions // 15)
                measure(client, explaining, count, found[explaining])
    rows = [row(explaining, one, found[0].seen) for explaining, one in found.items()]
    facts = {
        "machine": f"{processor()}, {usable_cores()} cores; {WORKERS} workers",
        "load": f"{os.getloadavg()[0]:.1f} (1 minute)",
    }
    title, tool = "Predictions beside explanations in one server", "`python -m tools.load.neighbours`"
    text = page(title, tool, facts, table(COLUMNS, (one.values() for one in rows)))
    save(out, text, {"facts": facts, "rows": rows})
    if found[1].seen.p99 > MAY_BE_SLOWER * found[0].seen.p99:
        raise typer.Exit(1)


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
app.command()(main)

if __name__ == "__main__":
    app()
