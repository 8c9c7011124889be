"""The door: TorchServe's entry point, and the only module that knows TorchServe."""

import logging
import os
import re
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from threading import Timer
from typing import Any

import torch
import ts
from ts.context import Context
from ts.metrics.caching_metric import CachingMetric
from ts.metrics.metric_cache_abstract import MetricCacheAbstract
from ts.metrics.metric_cache_errors import MetricsCacheKeyError
from ts.metrics.metric_type_enum import MetricTypes
from ts.service import Service as TorchServeWorker

from zfnet_explainer.explainer import Explainer
from zfnet_explainer.net.checkpoint import load
from zfnet_explainer.pictures.atlas import atlas_folder, load_atlas
from zfnet_explainer.pictures.samples import load_samples
from zfnet_explainer.service.metrics import (
    METRICS,
    Metric,
    Sample,
    batch_samples,
    memory_samples,
    model_sample,
    progress_sample,
)
from zfnet_explainer.service.observation import Observation
from zfnet_explainer.service.service import Service
from zfnet_explainer.service.settings import WorkerSettings
from zfnet_explainer.service.threads import OneThread, Priority
from zfnet_explainer.wire.request import Incoming

log = logging.getLogger(__name__)
read_batch = TorchServeWorker.retrieve_data_for_inference
# The version whose worker reads a batch as `retrieve_data` goes on from.
TORCHSERVE = "0.12."
# What a batch's answers need to leave the worker.
LAST_ANSWERS_S = 1.0


class ZFNetHandler:
    """Predictions and explanations of the checkpoint in the model folder, row by row."""

    def initialize(self, context: Context) -> None:
        """Load onto the device that TorchServe assigns. Raises RuntimeError (BadSettings), BadCheckpoint, BadAtlas,
        BadSamples."""
        settings = WorkerSettings.parse(context.model_yaml_config or {})
        take_fields_sent_twice()
        device = choose_device(settings.device, context.system_properties["gpu_id"])
        run = OneThread(settings.threads, gives_way=device.type == "cpu")
        folder = Path(context.system_properties["model_dir"])
        weights = folder / "zfnet.safetensors"
        checkpoint = load(weights)
        others = load_atlas(atlas_folder(weights), checkpoint.record.weights_sha256)
        version = context.manifest["model"]["modelVersion"]
        explainer = Explainer(checkpoint, device, others, settings.occlusion_memory)
        run(explainer.warm_up, Priority.URGENT)
        self.service = Service(
            explainer,
            context.model_name,
            version,
            settings.limits,
            observer=self.count,
            allowed_origin=settings.allowed_origin,
            run=run,
            samples=load_samples(folder),
        )
        self.metrics = cached_metrics(context.metrics, METRICS)
        self.worker = worker_name(sys.argv)
        write(self.metrics, [model_sample(self.service.served), progress_sample(0, self.worker)])
        write(self.metrics, memory_samples(device, self.worker))
        log.info(
            "serving %s %s on %s with %d threads, precisions %s",
            context.model_name,
            version,
            self.service.served.device,
            settings.threads,
            ", ".join(self.service.rules.precisions),
        )

    def handle(self, rows: list[dict[str, Any]], context: Context) -> list[bytes]:
        """Answer every row of a batch; predict and explain requests may be mixed."""
        if self.service.device_lost:
            time.sleep(2 * LAST_ANSWERS_S)  # one batch is lost with the worker, instead of the queue within a moment
        write(self.metrics, [progress_sample(len(rows), self.worker)])
        try:
            return self._answer(rows, context)
        finally:
            write(self.metrics, [progress_sample(0, self.worker)])

    def _answer(self, rows: list[dict[str, Any]], context: Context) -> list[bytes]:
        indices = range(len(rows))
        incoming = [_incoming(rows[i], context.get_all_request_header(i)) for i in indices]
        answers = self.service.answer(incoming, [incoming[i].sent_id or context.get_request_id(i) for i in indices])
        for i, answer in enumerate(answers):
            context.set_response_status(answer.status.value, answer.status.phrase, i)
            context.set_response_content_type(i, answer.content_type)
            for name, value in answer.headers.items():
                context.set_response_header(i, name, value)
        return [answer.body for answer in answers]

    def count(self, batch: Sequence[Observation], seconds: float) -> None:
        """Write what a batch of answered requests adds to the metrics."""
        if self.service.device_lost:
            log.critical("%s has failed: this worker ends, TorchServe starts another", self.service.served.device)
            Timer(LAST_ANSWERS_S, os._exit, [1]).start()
        write(self.metrics, batch_samples(batch, seconds, self.service.served))
        if not self.service.device_lost:  # which does not tell its memory
            write(self.metrics, memory_samples(self.service.explainer.device, self.worker))


def take_fields_sent_twice() -> None:
    """Have TorchServe's worker hand over every value of a field. Raises RuntimeError for a version of other ways."""
    if not ts.__version__.startswith(TORCHSERVE):
        raise RuntimeError(f"this handler is made for TorchServe {TORCHSERVE}x, not {ts.__version__}")
    TorchServeWorker.retrieve_data_for_inference = staticmethod(retrieve_data)


def retrieve_data(batch: list[dict[str, Any]]) -> Any:
    """What TorchServe makes of a batch, but for a field sent several times: it keeps the last, this a list of all."""
    headers, rows, ids = read_batch(batch)
    for row, request in zip(rows, batch, strict=True):
        values: dict[str, list[Any]] = defaultdict(list)
        for parameter in request["parameters"]:
            values[parameter["name"]].append(parameter["value"])
        row.update({name: several for name, several in values.items() if len(several) > 1})
    return headers, rows, ids


def choose_device(wanted: str, gpu_id: int | None) -> torch.device:
    """The GPU that TorchServe assigned, or the CPU. Raises RuntimeError where that is not what was wanted."""
    if wanted == "cpu" or (wanted == "auto" and gpu_id is None):
        return torch.device("cpu")
    if gpu_id is None:
        raise RuntimeError("explainer.device is cuda, but TorchServe assigned no GPU: is nvidia-smi on its PATH?")
    if not torch.cuda.is_available():
        raise RuntimeError(
            f"TorchServe assigned GPU {gpu_id}, but this torch cannot use it: driver or build too old? "
            "--device cpu serves without it"
        )
    return torch.device("cuda", int(gpu_id))


def cached_metrics(cache: MetricCacheAbstract, metrics: Iterable[Metric]) -> dict[str, CachingMetric]:
    """TorchServe's writers of these metrics; one that its metrics_config does not declare is added here.

    Such a metric reaches /metrics only where TorchServe runs with model_metrics_auto_detect=true.
    """
    writers, undeclared = {}, []
    for metric in metrics:
        kind = MetricTypes(metric.kind)
        try:
            writers[metric.name] = cache.get_metric(metric.name, kind)
        except MetricsCacheKeyError:
            writers[metric.name] = cache.add_metric_to_cache(metric.name, metric.unit, list(metric.labels), kind)
            undeclared.append(metric.name)
    if undeclared:
        log.warning("metrics_config does not declare %s: see docs/metrics.md", ", ".join(undeclared))
    return writers


def write(writers: dict[str, CachingMetric], samples: Iterable[Sample]) -> None:
    """Hand samples to TorchServe, which reads them from the worker's output, where , : | # separate their parts."""
    for sample in samples:
        labels = [re.sub("[,:|#]", "_", label) or "none" for label in sample.labels]
        writers[sample.metric.name].add_or_update(sample.value, labels)


def worker_name(arguments: list[str]) -> str:
    """The number TorchServe gives a worker, another one after a restart by hand: its socket ends in it."""
    options = dict(pairwise(arguments))
    return options.get("--sock-name", options.get("--port", "")).rpartition(".")[2]


def _incoming(fields: dict[str, Any], headers: dict[str, Any]) -> Incoming:
    """TorchServe sets `url_path` on /predictions and /explanations alone, and `explain` from the route."""
    sent = {name: value for name, value in headers.items() if isinstance(value, str)}
    return Incoming(fields, sent, sent.get("explain") == "True", "url_path" not in sent)
