"""A TorchServe whose workers compute on the card: every kind of answer, whole requests, and answers a second."""

import base64
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx

from tools.load import capacity
from tools.load.clients import EXPLAIN, PICTURE, PREDICT
from zfnet_explainer.commands.local import local_service
from zfnet_explainer.commands.paths import WEIGHTS
from zfnet_explainer.studies.speed import requests, start
from zfnet_explainer.studies.speed.results import Results
from zfnet_explainer.torchserve.archive import WorkerOptions, ensure_archive
from zfnet_explainer.torchserve.devices import Device
from zfnet_explainer.torchserve.server import running_server
from zfnet_explainer.wire.accept import MEDIA_TYPES

from .task import Task

TINY = {"window": "112", "stride": "112", "layer": "1", "features": "1"}
WORKERS = 1, 4


def served(task: Task) -> None:
    """Each kind of answer, and whole requests beside the same work without a server."""
    options = WorkerOptions(device=Device(task.device.type))
    with TemporaryDirectory() as folder, ExitStack() as on_exit:
        archive = Path(folder, "zfnet.mar")
        ensure_archive(archive, WEIGHTS, options)
        server = on_exit.enter_context(running_server(archive, Path(folder, "run"), start.beside(options)))
        found: dict[str, Any] = {"answers": answers(server.inference_url, task)}
        task.keep(found)
        results = Results(task.machine, 1 if task.tiny else 20)
        service = local_service(WEIGHTS, Device(task.device.type))
        for endpoint in ("predictions", "explanations"):
            results.requests.append(requests.measure(service, server.inference_url, endpoint, results.repeats))
            task.keep(found | {"bench": asdict(results)})


def load(task: Task) -> None:
    """Answers a second with one worker and with several on the one card."""
    layouts = []
    for workers in WORKERS[:1] if task.tiny else WORKERS:
        with TemporaryDirectory() as folder:
            seconds = 0.1 if task.tiny else 2
            layouts.append(capacity.measured(Path(folder), workers, 1, Device(task.device.type), seconds))
        task.keep({"layouts": [asdict(one) for one in layouts]})


def answers(url: str, task: Task) -> list[dict[str, object]]:
    """Ask for every kind of answer; what each took. Raises RuntimeError for one that is not as asked for."""
    options = TINY if task.tiny else {}
    b64 = base64.b64encode(PICTURE).decode()
    v1 = {"instances": [{"data": {"b64": b64}}]}
    v2 = {"inputs": [{"name": "image", "shape": [1], "datatype": "BYTES", "data": [b64]}]}
    files = {"data": PICTURE}
    calls: dict[str, tuple[str, str, Mapping[str, Any]]] = {
        "predictions": (PREDICT, "application/json", {"files": files}),
        **{
            form: (EXPLAIN, kind, {"files": files, "data": options | {"format": form}})
            for form, kind in MEDIA_TYPES.items()
        },
        "checked by Captum": (
            EXPLAIN,
            MEDIA_TYPES["json"],
            {"files": files, "data": options | {"crosscheck": "captum"}},
        ),
        "V1 predict": ("/v1/models/zfnet:predict", "application/json", {"json": v1}),
        "V1 explain": ("/v1/models/zfnet:explain", "application/json", {"json": v1 | {"parameters": options}}),
        "V2 infer": ("/v2/models/zfnet/infer", "application/json", {"json": v2}),
        "V2 explain": ("/v2/models/zfnet/explain", "application/json", {"json": v2 | {"parameters": options}}),
    }
    with httpx.Client(base_url=url, timeout=600, trust_env=False) as client:
        if not task.tiny:  # the first of a kind may import and compile
            for path, _, request in calls.values():
                client.post(path, **request)
        return [_answer(client, name, *call, task.device.type) for name, call in calls.items()]


def _answer(
    client: httpx.Client, name: str, path: str, kind: str, request: Mapping[str, Any], device: str
) -> dict[str, object]:
    begin = time.perf_counter()
    answer = client.post(path, **request)
    seconds = time.perf_counter() - begin
    if answer.status_code != 200 or not answer.headers["content-type"].startswith(kind):
        raise RuntimeError(f"{name}: {answer.status_code} {answer.headers['content-type']} {answer.text[:500]}")
    found: dict[str, object] = {"answer": name, "seconds": seconds, "bytes": len(answer.content)}
    if path in (PREDICT, EXPLAIN) and kind == "application/json":
        body = answer.json()
        if not body["model"]["device"].startswith(device):
            raise RuntimeError(f"{name}: computed on {body['model']['device']}, not on {device}")
        if "occlusion" in body:
            found["exact"], found["crosscheck"] = body["occlusion"]["exact"], body.get("crosscheck")
    return found
