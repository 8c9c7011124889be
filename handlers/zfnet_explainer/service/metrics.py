"""Observations -> samples of the metrics that docs/metrics.md describes, for any server that exposes metrics."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import psutil
import torch

from ..wire.response import Served
from .observation import Observation


@dataclass(frozen=True)
class Metric:
    """A metric by its Prometheus name; the label sets are bounded, as every combination is a series."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    unit: str
    labels: tuple[str, ...] = ()

    def __call__(self, value: float, *labels: object) -> "Sample":
        """One value of this metric, its labels in the order of their names."""
        return Sample(self, value, tuple(str(label) for label in labels))


@dataclass(frozen=True)
class Sample:
    """What a counter grows by, a histogram observes or a gauge becomes."""

    metric: Metric
    value: float
    labels: tuple[str, ...]


REQUESTS = Metric("zfnet_requests_total", "counter", "Requests", ("endpoint", "protocol", "methods", "status"))
ERRORS = Metric("zfnet_errors_total", "counter", "Errors", ("endpoint", "code"))
REQUEST_SECONDS = Metric("zfnet_request_duration_seconds", "histogram", "Seconds", ("endpoint",))
STAGE_SECONDS = Metric("zfnet_stage_duration_seconds", "histogram", "Seconds", ("endpoint", "stage"))
IN_PROGRESS = Metric("zfnet_requests_in_progress", "gauge", "Requests", ("worker",))
BATCH = Metric("zfnet_batch_size_requests", "histogram", "Requests")
POSITIONS = Metric("zfnet_occlusion_positions_total", "counter", "Positions")
DROP = Metric("zfnet_occlusion_drop_ratio", "histogram", "Ratio")
PREDICTIONS = Metric("zfnet_predictions_total", "counter", "Predictions", ("synset", "label"))
CONFIDENCE = Metric("zfnet_prediction_confidence_ratio", "histogram", "Ratio")
CROSSCHECKS = Metric("zfnet_crosschecks_total", "counter", "Crosschecks", ("method",))
DISAGREEMENTS = Metric("zfnet_crosscheck_disagreements_total", "counter", "Crosschecks", ("method",))
MODEL = Metric("zfnet_model_info", "gauge", "Info", ("name", "version", "weights_sha256", "device"))
WORKER_MEMORY = Metric("zfnet_worker_resident_memory_bytes", "gauge", "Bytes", ("worker",))
DEVICE_MEMORY = Metric("zfnet_device_memory_bytes", "gauge", "Bytes", ("device",))
DEVICE_MEMORY_USED = Metric("zfnet_device_memory_used_bytes", "gauge", "Bytes", ("device",))

METRICS = (
    REQUESTS,
    ERRORS,
    REQUEST_SECONDS,
    STAGE_SECONDS,
    IN_PROGRESS,
    BATCH,
    POSITIONS,
    DROP,
    PREDICTIONS,
    CONFIDENCE,
    CROSSCHECKS,
    DISAGREEMENTS,
    MODEL,
    WORKER_MEMORY,
    DEVICE_MEMORY,
    DEVICE_MEMORY_USED,
)


def model_sample(served: Served) -> Sample:
    """Which model a worker serves, and where."""
    return MODEL(1, served.name, served.version, served.record.weights_sha256, served.device)


def progress_sample(requests: int, worker: str) -> Sample:
    """How many requests a worker has in hand from now on."""
    return IN_PROGRESS(requests, worker)


def batch_samples(batch: Sequence[Observation], seconds: float, served: Served) -> Iterator[Sample]:
    """What a batch of answered requests adds."""
    yield BATCH(len(batch))
    for request in batch:
        yield REQUESTS(1, request.endpoint, request.protocol, request.methods, request.status)
        yield REQUEST_SECONDS(seconds, request.endpoint)
        yield from _request_samples(request, served)


def memory_samples(device: torch.device, worker: str) -> Iterator[Sample]:
    """The worker's memory, and its GPU's with whatever else is on it."""
    yield WORKER_MEMORY(psutil.Process().memory_info().rss, worker)
    if device.type == "cuda":
        free, total = torch.cuda.mem_get_info(device)
        yield DEVICE_MEMORY(total, device)
        yield DEVICE_MEMORY_USED(total - free, device)


def _request_samples(request: Observation, served: Served) -> Iterator[Sample]:
    for code in request.errors:
        yield ERRORS(1, request.endpoint, code)
    for stage, spent in request.seconds:
        yield STAGE_SECONDS(spent, request.endpoint, stage)
    for prediction in request.predicted:
        named = served.record.classes[prediction.class_index]
        yield PREDICTIONS(1, named.synset, named.label)
        yield CONFIDENCE(prediction.probability)
    if request.positions:
        yield POSITIONS(request.positions)
    for drop in request.drops:
        yield DROP(max(0.0, drop))  # a histogram's sum must not fall
    for method, agrees in request.crosschecks:
        yield CROSSCHECKS(1, method)
        yield DISAGREEMENTS(0 if agrees else 1, method)  # 0 too: increase() needs the series to exist before
