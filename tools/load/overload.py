"""Ten times as many requests as can be answered: the rest is refused at once, and afterwards all is as before.

    python -m tools.load.overload --out docs/overload.md

First the server's capacity is measured with a few clients that ask without a pause. Then new requests begin ten times
as often as it can answer, each on its own, whether the ones before are answered or not. Then a client asks as before.
"""

import asyncio
import os
import time
from collections import Counter
from dataclasses import dataclass
from typing import Annotated

import httpx
import typer

from zfnet_explainer.cores import usable_cores
from zfnet_explainer.studies.speed.machine import processor

from .clients import PICTURE, PREDICT, Seen, at_once, in_turn
from .out import Out, page, save, table
from .service import served

WORKERS = 2
TIMES = 10
MEASURE_S = 10.0
AGAIN_S = 5.0
PATIENCE_S = 120
COLUMNS = "", "requests", "median ms", "p99 ms", "slowest ms"


@dataclass(frozen=True)
class Outcome:
    """A request's status, or what failed, and the seconds it took."""

    status: str
    seconds: float


async def flood(url: str, rate: float, seconds: float) -> list[Outcome]:
    """Begin so many requests a second, for so long; what becomes of each."""
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
    async with httpx.AsyncClient(timeout=PATIENCE_S, limits=limits, trust_env=False) as client:

        async def one() -> Outcome:
            start = time.perf_counter()
            try:
                answer = await client.post(url, content=PICTURE)
                status = str(answer.status_code)
            except httpx.HTTPError as error:
                status = type(error).__name__
            return Outcome(status, time.perf_counter() - start)

        tasks, start = [], time.perf_counter()
        for number in range(max(1, round(rate * seconds))):
            await asyncio.sleep(max(0.0, start + number / rate - time.perf_counter()))
            tasks.append(asyncio.create_task(one()))
        return await asyncio.gather(*tasks)


def row(name: str, seen: Seen) -> tuple[object, ...]:
    """A line of the table: how many, and their median, 99th percentile and slowest, in milliseconds."""
    return name, len(seen.seconds), *(round(1000 * one, 1) for one in (seen.median, seen.p99, max(seen.seconds)))


def main(
    out: Out,
    seconds: Annotated[float, typer.Option(min=1, help="How long it is flooded.")] = 20,
) -> None:
    """Measure, and write the page; exit with 1 where a request hung or the speed did not come back."""
    with served(WORKERS) as server, httpx.Client(base_url=server.inference_url, timeout=600, trust_env=False) as client:
        in_turn(client, PREDICT, 10 * WORKERS)
        capacity = at_once(client, PREDICT, 2 * WORKERS, MEASURE_S)
        before = in_turn(client, PREDICT, 100)
        began = time.perf_counter()
        outcomes = asyncio.run(flood(f"{server.inference_url}{PREDICT}", TIMES * capacity.rate, seconds))
        flooded = time.perf_counter() - began
        again = in_turn(client, PREDICT, 100)
        after = at_once(client, PREDICT, 2 * WORKERS, AGAIN_S)
    kinds = Counter(one.status for one in outcomes)
    recovered = next((sum(again.seconds[:n]) for n in range(100) if again.seconds[n] < 2 * before.median), None)
    facts = {
        "machine": f"{processor()}, {usable_cores()} cores; {WORKERS} workers",
        "load": f"{os.getloadavg()[0]:.1f} (1 minute)",
        "capacity": f"{capacity.rate:.1f} answers/s ({2 * WORKERS} clients)",
        "asked": f"{len(outcomes)} requests in {seconds:.0f} s, all answered after {flooded:.1f} s: {dict(kinds)}",
        "first quick answer": "none in 100" if recovered is None else f"{recovered:.2f} s after the last of them",
        "in the 5 s after": f"{after.rate:.1f} answers/s",
    }
    flood_seen = {kind: Seen([one.seconds for one in outcomes if one.status == kind], flooded) for kind in kinds}
    rows = [
        row("before, one client", before),
        *(row(f"flooded: {kind}", seen) for kind, seen in flood_seen.items()),
        row("after, one client", again),
    ]
    text = page("Overload", "`python -m tools.load.overload`", facts, table(COLUMNS, rows))
    save(out, text, {"facts": facts, "statuses": kinds})
    if set(kinds) - {"200", "503"} or recovered is None or recovered > AGAIN_S:
        raise typer.Exit(1)


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
app.command()(main)

if __name__ == "__main__":
    app()
