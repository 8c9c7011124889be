"""What a server is busy with, as it tells on its management and metrics ports."""

from dataclasses import dataclass

import httpx

from .management import described
from .server import RunningServer

# The handler's gauge: docs/metrics.md. TorchServe itself tells of the requests that wait, and of no others.
IN_PROGRESS = "zfnet_requests_in_progress"
ASKED = "ts_inference_requests_total"


@dataclass(frozen=True)
class Activity:
    """Requests in the queue, requests that the workers have, and all requests since the server's start."""

    waiting: int
    in_progress: int
    asked: int

    @property
    def unanswered(self) -> int:
        return self.waiting + self.in_progress


def activity(server: RunningServer) -> Activity:
    """What the server is busy with now; raises NotHealthy or httpx.HTTPError where it does not tell."""
    waiting = described(server.folder)["jobQueueStatus"]["pendingRequests"]
    metrics = httpx.get(f"{server.metrics_url}/metrics", trust_env=False).raise_for_status().text
    return Activity(waiting, _sum(metrics, IN_PROGRESS), _sum(metrics, ASKED))


def _sum(metrics: str, name: str) -> int:
    """The sum of a metric's series, 0 where it has none yet."""
    return round(sum(float(line.rpartition(" ")[2]) for line in metrics.splitlines() if line.startswith(f"{name}{{")))
