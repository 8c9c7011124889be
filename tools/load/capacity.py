"""What one server does here: answers a second, latencies, memory; and what follows for replicas and their cost.

    python -m tools.load.capacity --out docs/capacity-measured.md

Writes that page and, beside it, the figures as JSON. docs/capacity.md says what the figures mean.
"""

import json
import platform
import re
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import httpx
import psutil
import torch
import typer
import yaml
from tests.samples import MODEL_STORE

from zfnet_explainer.cores import usable_cores
from zfnet_explainer.studies.speed.machine import processor
from zfnet_explainer.torchserve.archive import WorkerOptions, archive_members, pack
from zfnet_explainer.torchserve.config import MAX_ANSWER_BYTES, ServerOptions
from zfnet_explainer.torchserve.devices import Device, UnusableGpus, visible_gpus
from zfnet_explainer.torchserve.packed import MODEL_CONFIG
from zfnet_explainer.torchserve.server import RunningServer, running_server

from .clients import EXPLAIN, PREDICT, at_once, in_turn
from .out import Out, page, save, table
from .plan import Machine, Prices, replicas_table

MIB = 2**20
TOOL = "`python -m tools.load.capacity`; [capacity.md](capacity.md) explains it"
COLUMNS = (
    "workers x threads", "ready s", "MiB a worker", "MiB Java", "call", "clients", "answers/s", "median ms", "p99 ms",
)  # fmt: skip


@dataclass(frozen=True)
class Point:
    """What so many clients got, closed loop."""

    path: str
    clients: int
    answers: int
    rate: float
    median_ms: float
    p99_ms: float


@dataclass(frozen=True)
class Layout:
    """A server with so many workers of so many threads: seconds until it was ready, MiB, and what it did."""

    workers: int
    threads: int
    ready_s: float
    worker_mib: list[float]
    java_mib: float
    points: list[Point]

    def best(self, path: str) -> Point:
        """The point with the most answers a second."""
        return max((point for point in self.points if point.path == path), key=lambda point: point.rate)


@contextmanager
def served(folder: Path, workers: int, threads: int, device: Device) -> Iterator[RunningServer]:
    options = WorkerOptions(workers=workers, device=device, max_response_bytes=MAX_ANSWER_BYTES)
    members = archive_members(MODEL_STORE / "zfnet.safetensors", options)
    config = yaml.safe_load(members[MODEL_CONFIG])
    config["explainer"]["threads"] = threads
    members[MODEL_CONFIG] = yaml.safe_dump(config).encode()
    archive = folder / "zfnet.mar"
    pack(members, archive)
    with running_server(archive, folder / "run", ServerOptions.on_free_ports(gpus=gpus_of(device))) as running:
        yield running


def measured(folder: Path, workers: int, threads: int, device: Device, seconds: float) -> Layout:
    """Start a server, ask it, end it."""
    began = time.perf_counter()
    with served(folder, workers, threads, device) as server:
        ready = time.perf_counter() - began
        limits = httpx.Limits(max_connections=None)
        with httpx.Client(base_url=server.inference_url, timeout=600, trust_env=False, limits=limits) as client:
            in_turn(client, PREDICT, 3 * workers)
            in_turn(client, EXPLAIN, workers)
            crowd = {PREDICT: (1, 4, 16), EXPLAIN: sorted({1, workers, 2 * workers})}
            points = [point(client, path, clients, seconds) for path, some in crowd.items() for clients in some]
        java = psutil.Process(server.process.pid)
        memory = [child.memory_info().rss / MIB for child in java.children()]
        return Layout(workers, threads, round(ready, 1), [round(one) for one in memory], round(rss(java)), points)


def rss(process: psutil.Process) -> float:
    resident: int = process.memory_info().rss
    return resident / MIB


def point(client: httpx.Client, path: str, clients: int, seconds: float) -> Point:
    seen = at_once(client, path, clients, seconds)
    return Point(
        path,
        clients,
        len(seen.seconds),
        round(seen.rate, 3),
        round(1000 * seen.median, 1),
        round(1000 * seen.p99, 1),
    )


def best(layouts: Sequence[Layout], path: str, cores: int) -> str:
    """The most answers a second, and the layout that gave them."""
    layout = max(layouts, key=lambda one: one.best(path).rate)
    rate = layout.best(path).rate
    return f"{rate:.3g}/s, {rate / cores:.3g}/s a core, with {layout.workers} x {layout.threads}"


def rows(layouts: Sequence[Layout]) -> Iterator[tuple[object, ...]]:
    """A line of the table for each point."""
    for layout in layouts:
        head = f"{layout.workers} x {layout.threads}", layout.ready_s, max(layout.worker_mib), layout.java_mib
        for one in layout.points:
            call = one.path.split("/")[1]
            yield *head, call, one.clients, f"{one.rate:.2f}", f"{one.median_ms:.0f}", f"{one.p99_ms:.0f}"


def workers_and_threads(text: str) -> tuple[int, int]:
    """Of WORKERSxTHREADS, both from 1. Raises typer.BadParameter for anything else."""
    found = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)", text, re.ASCII)
    if found is None:
        raise typer.BadParameter(f"{text} is not WORKERSxTHREADS, such as 2x1", param_hint="--layout")
    return int(found[1]), int(found[2])


def gpus_of(device: Device) -> int:
    """How many GPUs a server uses. Raises typer.BadParameter where they cannot be used."""
    try:
        return visible_gpus() if device is Device.CUDA else 0
    except UnusableGpus as error:
        raise typer.BadParameter(str(error), param_hint="--device") from error


def main(
    out: Out,
    device: Annotated[Device, typer.Option(help="cpu or cuda.")] = Device.CPU,
    layout: Annotated[list[str] | None, typer.Option(help="WORKERSxTHREADS; repeat for more.")] = None,
    seconds: Annotated[float, typer.Option(min=1, help="How long each point is measured.")] = 8,
    core_hour: Annotated[float, typer.Option(help="Price of a core's hour.")] = 0.04,
    gib_hour: Annotated[float, typer.Option(help="Price of a GiB's hour.")] = 0.005,
    gpu_hour: Annotated[float, typer.Option(help="Price of a GPU's hour.")] = 3.0,
) -> None:
    """Measure the layouts one after the other, and write the page."""
    cores, gpus = usable_cores(), gpus_of(device)
    asked = [workers_and_threads(text) for text in layout or [f"1x{cores}", f"{cores}x1", f"{cores}x{cores}"]]
    layouts = []
    for workers, threads in asked:
        with tempfile.TemporaryDirectory() as folder:
            layouts.append(measured(Path(folder), workers, threads, device, seconds))
        typer.echo(json.dumps(asdict(layouts[-1])), err=True)
    machines = [
        Machine(cores, gpus, one.workers, one.threads, one.best(PREDICT).rate, one.best(EXPLAIN).rate)
        for one in layouts
    ]
    name = torch.cuda.get_device_name() if gpus else processor()
    facts = {
        "machine": f"{name}, {cores} cores, {gpus} GPUs",
        "software": f"Python {platform.python_version()}, torch {torch.__version__}",
        "predictions, at best": best(layouts, PREDICT, cores),
        "explanations with the default options, at best": best(layouts, EXPLAIN, cores),
    }
    prices = Prices(core_hour, gib_hour, gpu_hour)
    figures = {
        "facts": facts,
        "machines": [asdict(one) for one in machines],
        "layouts": [asdict(one) for one in layouts],
    }
    replicas = [replicas_table(one, prices) for one in machines]
    save(out, page("Capacity", TOOL, facts, table(COLUMNS, rows(layouts)), *replicas), figures)


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
app.command()(main)

if __name__ == "__main__":
    app()
