"""A prediction's latency while explanations run, in the other pool and in the same server; and a stop under load.

    python -m tools.load.pools --out docs/pools.md

Two servers behind one gateway, a core for predictions and the others for explanations; and one server on all cores
behind another. Blocks of predictions are interleaved, so that what else runs on the machine falls on all of them.
"""

import os
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import httpx
import typer
from tests.deploy.gateway import Config, routes_of, running_gateway, without_budgets
from tests.samples import MODEL_STORE

from zfnet_explainer.cores import usable_cores
from zfnet_explainer.studies.speed.machine import processor
from zfnet_explainer.torchserve.archive import WorkerOptions, ensure_archive
from zfnet_explainer.torchserve.config import MAX_ANSWER_BYTES
from zfnet_explainer.torchserve.devices import Device
from zfnet_explainer.torchserve.server import running_server

from .clients import EXPLAIN, PREDICT, Seen, asking, in_turn, on_cores, together
from .drained import drained_stop, paragraph
from .out import Out, page, save, table

LAYOUTS = ("two pools", "one server")
PATIENCE_S = 610
TOOL = "`python -m tools.load.pools`; [gateway.md](gateway.md#two-pools) says what it is about"
COLUMNS = "servers", "beside it", "predictions", "median ms", "p99 ms", "median over idle"


def patient(config: Config) -> None:
    """All that is asked is answered, however long a prediction waits for explanations."""
    without_budgets(config)
    _, routes = routes_of(config)
    routes["predict"]["route"] |= {"timeout": f"{PATIENCE_S}s", "idle_timeout": f"{PATIENCE_S}s"}


@contextmanager
def layouts(folder: Path, archive: Path) -> Iterator[dict[str, httpx.Client]]:
    """A client of the gateway before each layout."""
    cores = sorted(os.sched_getaffinity(0))
    with ExitStack() as stack:

        def server(name: str, cores: list[int]) -> str:
            with on_cores(set(cores)):
                running = stack.enter_context(running_server(archive, folder / name))
            return running.inference_url.removeprefix("http://")

        def gateway(name: str, predict: str, explain: str) -> httpx.Client:
            (folder / name).mkdir()
            pools = {"predict": [predict], "explain": [explain]}
            running = stack.enter_context(running_gateway(folder / name, pools, patient))
            client = stack.enter_context(running.client())
            client.timeout = httpx.Timeout(PATIENCE_S)
            return client

        apart = gateway("gateway-two", server("predict", cores[:1]), server("explain", cores[1:]))
        shared = server("shared", cores)
        yield dict(zip(LAYOUTS, (apart, gateway("gateway-one", shared, shared)), strict=True))


def measure(clients: dict[str, httpx.Client], rounds: int, predictions: int) -> dict[str, dict[str, list[Seen]]]:
    """Predictions of every block by layout and by what goes on beside them."""
    seen: dict[str, dict[str, list[Seen]]] = defaultdict(lambda: defaultdict(list))
    for client in clients.values():
        in_turn(client, PREDICT, 3)
        in_turn(client, EXPLAIN, 1)
    for _ in range(rounds):
        for layout, client in clients.items():
            seen[layout]["idle"].append(in_turn(client, PREDICT, predictions))
        for layout, client in clients.items():
            with asking(client, EXPLAIN):
                seen[layout]["explaining"].append(in_turn(client, PREDICT, predictions))
    return seen


def summary(seen: dict[str, dict[str, list[Seen]]]) -> list[dict[str, object]]:
    """A row a layout and state, milliseconds."""
    rows: list[dict[str, object]] = []
    for layout, states in seen.items():
        idle = together(states["idle"])
        for state, blocks in states.items():
            found = together(blocks)
            rows.append(
                {
                    "layout": layout,
                    "beside": state,
                    "predictions": len(found.seconds),
                    "median_ms": round(1000 * found.median, 1),
                    "p99_ms": round(1000 * found.p99, 1),
                    "times_idle": round(found.median / idle.median, 2),
                }
            )
    return rows


def main(
    out: Out,
    rounds: Annotated[int, typer.Option(min=1, help="Of four blocks: two layouts, idle and explaining.")] = 3,
    predictions: Annotated[int, typer.Option(min=2, help="Predictions a block.")] = 15,
    device: Annotated[Device, typer.Option(help="cpu or cuda.")] = Device.CPU,
) -> None:
    """Measure, and write the page."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        options = WorkerOptions(device=device, max_response_bytes=MAX_ANSWER_BYTES)
        ensure_archive(folder / "zfnet.mar", MODEL_STORE / "zfnet.safetensors", options)
        with layouts(folder, folder / "zfnet.mar") as clients:
            rows = summary(measure(clients, rounds, predictions))
        stop = drained_stop(folder, folder / "zfnet.mar")
    facts = {"machine": f"{processor()}, {usable_cores()} cores, {device}; clients and gateway run on them too"}
    measured = table(COLUMNS, (row.values() for row in rows))
    text = page("A prediction beside explanations", TOOL, facts, measured, paragraph(stop))
    save(out, text, {"facts": facts, "rows": rows, "stop": asdict(stop)})


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
app.command()(main)

if __name__ == "__main__":
    app()
