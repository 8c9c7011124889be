"""Half an hour of mixed load: no good request may fail, and nothing may grow.

    python -m tools.load.soak --minutes 30 --out docs/soak.md

Three clients ask without a pause, each with a mix of predictions, explanations in every format, and bad requests. Every
minute is a step whose figures are written down.
"""

import json
import os
import random
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from statistics import median
from typing import Annotated

import httpx
import typer
from tests.samples import encoded, noise

from zfnet_explainer.cores import usable_cores
from zfnet_explainer.studies.speed.machine import processor

from .clients import EXPLAIN, PICTURE, PREDICT
from .out import Out, page, save, table
from .service import Held, held, served, worker_pids

CLIENTS = 3
WORKERS = 2
COLUMNS = "minute", "answered", "wrongly", "median s", "slowest s", "MiB workers", "MiB Java", "open files"
CHEAP = {"window": "64", "stride": "32"}
LARGE = encoded(noise(1500, 2000), "JPEG")


@dataclass(frozen=True)
class Kind:
    """A request, how often it comes, and the status of its answer."""

    name: str
    share: int
    path: str
    picture: bytes
    options: dict[str, str]
    status: int = 200


KINDS = (
    Kind("prediction", 12, PREDICT, PICTURE, {}),
    Kind("prediction of noise", 4, PREDICT, encoded(noise(301, 199)), {"top_k": "20"}),
    Kind("prediction of 3 megapixels", 2, PREDICT, LARGE, {}),
    Kind("explanation", 3, EXPLAIN, PICTURE, CHEAP),
    Kind("explanation as npz", 1, EXPLAIN, PICTURE, {**CHEAP, "format": "npz"}),
    Kind("explanation as png", 1, EXPLAIN, PICTURE, {**CHEAP, "format": "png"}),
    Kind("explanation as html", 1, EXPLAIN, PICTURE, {**CHEAP, "format": "html"}),
    Kind("no picture", 2, PREDICT, b"<svg/>", {}, 415),
    Kind("half a picture", 2, PREDICT, PICTURE[: len(PICTURE) // 2], {}, 422),
    Kind("a wrong option", 2, EXPLAIN, PICTURE, {"stride": "0"}, 400),
    Kind("too much work", 1, EXPLAIN, PICTURE, {"window": "8", "stride": "1"}, 400),
)


@dataclass(frozen=True)
class Step:
    """A minute: requests answered, and how many wrongly; median and slowest in seconds; what is held at its end."""

    answered: int
    failed: int
    median_s: float
    slowest_s: float
    held: Held


def minute(client: httpx.Client, seconds: float, seed: int, failures: Counter[str]) -> Sequence[float]:
    """Seconds of each answer; what was not answered as it should be is counted in `failures`."""
    until = time.perf_counter() + seconds

    def ask(number: int) -> list[float]:
        chance = random.Random(seed * CLIENTS + number)  # noqa: S311
        taken = []
        while (start := time.perf_counter()) < until:
            kind = chance.choices(KINDS, [kind.share for kind in KINDS])[0]
            try:
                answer = client.post(kind.path, files={"data": kind.picture}, data=kind.options)
                outcome = str(answer.status_code)
            except httpx.HTTPError as error:
                outcome = type(error).__name__
            if outcome != str(kind.status):
                failures[f"{kind.name}: {outcome}"] += 1
            taken.append(time.perf_counter() - start)
        return taken

    with ThreadPoolExecutor(CLIENTS) as executor:
        return [one for some in executor.map(ask, range(CLIENTS)) for one in some]


def growth(values: Sequence[float]) -> float:
    """By what share the median of the last third is above that of the first, after a sixth to warm up."""
    steady = values[len(values) // 6 :]
    third = max(1, len(steady) // 3)
    return median(steady[-third:]) / median(steady[:third]) - 1


def main(
    out: Out,
    minutes: Annotated[int, typer.Option(min=1, help="How long.")] = 30,
    step_seconds: Annotated[float, typer.Option(min=1, help="Length of a step.")] = 60,
) -> None:
    """Load, and write the page; exit with 1 where a good request failed or a worker was lost."""
    steps: list[Step] = []
    failures: Counter[str] = Counter()
    with served(WORKERS) as server, httpx.Client(base_url=server.inference_url, timeout=300, trust_env=False) as client:
        before = worker_pids(server)
        for number in range(minutes):
            seen = minute(client, step_seconds, number, failures)
            wrongly = failures.total() - sum(step.failed for step in steps)
            figures = (round(median(seen), 3), round(max(seen), 3))
            steps.append(Step(len(seen), wrongly, *figures, held(server)))
            typer.echo(json.dumps(asdict(steps[-1])), err=True)
        lost = len(before - worker_pids(server))
    facts = {
        "machine": f"{processor()}, {usable_cores()} cores, shared; {WORKERS} workers, {CLIENTS} clients",
        "load": f"{os.getloadavg()[2]:.1f} (15 minutes)",
        "answered": f"{sum(step.answered for step in steps):,} in {minutes} minutes",
        "not answered as they should be": f"{failures.total()} {dict(failures) or ''}".strip(),
        "workers lost": str(lost),
        "memory of the workers": f"{100 * growth([step.held.worker_mib for step in steps]):+.1f} %",
        "memory of Java": f"{100 * growth([step.held.java_mib for step in steps]):+.1f} %",
        "open files": f"{100 * growth([step.held.files for step in steps]):+.1f} %",
    }
    rows = (
        (number, step.answered, step.failed, step.median_s, step.slowest_s, *asdict(step.held).values())
        for number, step in enumerate(steps, 1)
    )
    text = page("Soak", "`python -m tools.load.soak`", facts, table(COLUMNS, rows))
    save(out, text, {"facts": facts, "steps": [asdict(step) for step in steps]})
    if failures or lost:
        raise typer.Exit(1)


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
app.command()(main)

if __name__ == "__main__":
    app()
