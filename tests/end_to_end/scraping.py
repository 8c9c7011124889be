"""A server's metrics as Prometheus scrapes them, and what has come to them since."""

import httpx

from zfnet_explainer.torchserve.config import ServerOptions
from zfnet_explainer.torchserve.server import RunningServer

from ..waiting import wait_for


def scraped(server: RunningServer | ServerOptions) -> dict[str, float]:
    """Values by series, without the label that TorchServe adds."""
    text = httpx.get(f"{server.metrics_url}/metrics", trust_env=False).text
    lines = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
    return {series.partition("Hostname=")[0].rstrip("{,"): float(value) for series, _, value in lines}


def grown(server: RunningServer | ServerOptions, before: dict[str, float], series: str) -> float:
    """How far a series has grown; TorchServe reads a worker's output a moment after its answer."""

    def difference() -> float:
        return scraped(server).get(series, 0.0) - before.get(series, 0.0)

    wait_for(lambda: difference() != 0, f"{series} does not grow")
    return difference()
