"""One of two servers is stopped while clients ask the gateway without a pause."""

import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from tests.deploy.gateway import Config, Discovery, Gateway, running_gateway, without_budgets
from tests.torchserve.running import ask, serve, started
from tests.waiting import PATIENCE_S, wait_for

from zfnet_explainer.torchserve.config import ServerOptions

from .clients import EXPLAIN, PICTURE, PREDICT
from .out import table

PREDICTING, EXPLAINING = 3, 1
BESIDE_S = 5  # of load before the stop, and after it


@dataclass(frozen=True)
class Stop:
    """Answers by status; those of the leaving server after SIGTERM; seconds until it is not ready, and ended."""

    statuses: dict[int, int]
    by_the_leaving: int
    not_ready_s: float
    ended_s: float
    exit_code: int


def drained_stop(folder: Path, archive: Path) -> Stop:
    """Start two servers and the gateway, ask, stop one, go on asking."""
    options = [ServerOptions.on_free_ports() for _ in range(2)]
    addresses = [one.inference_url.removeprefix("http://") for one in options]
    lines = [serve(folder / str(i), one, "--archive", archive) for i, one in enumerate(options)]
    pools = [Discovery(pool, folder, addresses) for pool in ("predict", "explain")]

    def change(config: Config) -> None:
        without_budgets(config)
        for pool in pools:
            pool.apply(config)

    with (
        started(lines[0], until="Ctrl-C") as (leaving, _),
        started(lines[1], until="Ctrl-C"),
        running_gateway(folder, dict.fromkeys(("predict", "explain"), addresses), change) as gateway,
        under_load(gateway) as statuses,
    ):
        time.sleep(BESIDE_S)
        before = len(gateway.log())
        leaving.send_signal(signal.SIGTERM)
        began = time.perf_counter()
        wait_for(lambda: ask(folder / "0" / "run", "ready")[0] == 1, "the server is still ready")
        not_ready = time.perf_counter() - began
        for pool in pools:
            pool.list(addresses[1:])
        code = leaving.wait(PATIENCE_S)
        ended = time.perf_counter() - began
        time.sleep(BESIDE_S)
    late = sum(line["server"] == addresses[0] for line in gateway.log()[before:])
    return Stop(dict(statuses), late, not_ready, ended, code)


@contextmanager
def under_load(gateway: Gateway) -> Iterator[Counter[int]]:
    """Clients that ask again as soon as they are answered; how many got which status, once the context is left."""
    stop, statuses = threading.Event(), Counter[int]()

    def loop(path: str) -> Counter[int]:
        seen = Counter[int]()
        with gateway.client() as client:
            client.timeout = httpx.Timeout(PATIENCE_S)
            while not stop.is_set():
                seen[client.post(path, files={"data": PICTURE}).status_code] += 1
        return seen

    paths = [PREDICT] * PREDICTING + [EXPLAIN] * EXPLAINING
    with ThreadPoolExecutor(len(paths)) as executor:
        loops = [executor.submit(loop, path) for path in paths]
        try:
            yield statuses
        finally:
            stop.set()
        for one in loops:
            statuses.update(one.result())


def paragraph(stop: Stop) -> list[str]:
    """Lines of Markdown."""
    failed = sum(count for status, count in stop.statuses.items() if status != 200)
    rows = (
        ("requests answered with 200", stop.statuses.get(200, 0)),
        ("of them by the leaving server, after SIGTERM", stop.by_the_leaving),
        ("requests failed", failed),
        ("not ready after", f"{stop.not_ready_s:.1f} s"),
        ("ended after", f"{stop.ended_s:.1f} s, with exit code {stop.exit_code}"),
    )
    return [
        "## A server stopped under load",
        "",
        f"Two servers behind the gateway, {PREDICTING} clients that predict and {EXPLAINING} that explains, all without"
        " a pause; one server gets SIGTERM.",
        "",
        *table(("", ""), rows),
    ]
