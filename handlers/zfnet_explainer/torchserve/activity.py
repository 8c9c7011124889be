"""What a server is busy with, as it tells on its management and metrics ports."""

from dataclasses import dataclass

import httpx
from prometheus_client.parser import text_string_to_metric_families

from .management import NotHealthy, model_now
from .server import RunningServer

# The handler's: docs/metrics.md. TorchServe itself tells of the requests that wait, and of no others.
IN_PROGRESS, ANSWERED = "zfnet_requests_in_progress", "zfnet_requests_total"
ASKED = "ts_inference_requests_total"


@dataclass(frozen=True)
class Activity:
    """Requests in the queue, those that the workers have, and all that came and were answered since the start."""

    waiting: int
    in_progress: int
    asked: int
    answered: int

    @property
    def unanswered(self) -> int:
        return self.waiting + self.in_progress

    def stalled_since(self, before: "Activity") -> bool:
        """Whether requests wait and no worker has one, as before, where the handler tells of what it has."""
        return self.waiting > 0 == self.in_progress and before.waiting > 0 and self.answered == before.answered > 0


def activity(server: RunningServer) -> Activity:
    """What the server is busy with now; raises NotHealthy or httpx.HTTPError where it does not tell.

    A worker that was scaled away tells for ever what it had in hand, which another has been given.
    """
    model = model_now(server.folder)
    there = {worker["id"] for worker in model["workers"]}
    told = httpx.get(f"{server.metrics_url}/metrics", trust_env=False).raise_for_status().text
    try:
        samples = [sample for family in text_string_to_metric_families(told) for sample in family.samples]
    except ValueError as error:
        raise NotHealthy(f"its metrics cannot be read: {error}") from error

    def total(name: str) -> int:
        """Of all series of a metric but those of workers that are gone; 0 where it has none yet."""
        return round(sum(s.value for s in samples if s.name == name and s.labels.get("worker") in {None, *there}))

    waiting = model["jobQueueStatus"]["pendingRequests"]
    return Activity(waiting, total(IN_PROGRESS), total(ASKED), total(ANSWERED))
