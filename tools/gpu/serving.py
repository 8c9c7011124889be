"""A TorchServe whose workers compute on the card: every kind of answer, whole requests, and answers a second."""

import base64
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
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
from zfnet_explainer.torchserve.run_folder import RunFolder
from zfnet_explainer.torchserve.server import running_server
from zfnet_explainer.wire.accept import MEDIA_TYPES

from .task import Task

TINY = {"window": "112", "stride": "112", "layer": "1", "features": "1"}
WORKERS = 1, 4
JSON = MEDIA_TYPES["json"]
Call = tuple[str, str, Mapping[str, Any]]  # path, media type of the answer, and what httpx sends


def served(task: Task) -> None:
    """Each kind of answer, and whole requests beside the same work without a server.

    Raises RuntimeError, in the end, for answers that are not as asked for.
    """
    options = WorkerOptions(device=Device(task.device.type))
    with workers_logged() as folder, ExitStack() as on_exit:
        archive = folder / "zfnet.mar"
        ensure_archive(archive, WEIGHTS, options)
        server = on_exit.enter_context(running_server(archive, folder / "run", start.beside(options)))
        found = answers(server.inference_url, task)
        task.keep({"answers": found})
        results = Results(task.machine, 1 if task.tiny else 20)
        service = local_service(WEIGHTS, Device(task.device.type))
        for endpoint in ("predictions", "explanations"):
            results.requests.append(requests.measure(service, server.inference_url, endpoint, results.repeats))
            task.keep({"answers": found, "bench": asdict(results)})
    if wrong := [f"{one['answer']}: {one['error']}" for one in found if "error" in one]:
        raise RuntimeError("\n".join(wrong))


def load(task: Task) -> None:
    """Answers a second with one worker and with several on the one card."""
    layouts = []
    for workers in WORKERS[:1] if task.tiny else WORKERS:
        with workers_logged() as folder:
            seconds = 0.1 if task.tiny else 2
            layouts.append(capacity.measured(folder, workers, 1, Device(task.device.type), seconds))
        task.keep({"layouts": [asdict(one) for one in layouts]})


@contextmanager
def workers_logged() -> Iterator[Path]:
    """A temporary folder; what a server in its `run` logged, and its workers, is printed before it goes."""
    with TemporaryDirectory() as name:
        try:
            yield Path(name)
        finally:
            for log in ("ts_log.log", "model_log.log"):
                for file in RunFolder(Path(name, "run")).logs.glob(log):
                    print(f"{log}:\n{file.read_text(errors='replace')}", flush=True)


def answers(url: str, task: Task) -> list[dict[str, object]]:
    """Ask for every kind of answer: what each took, and the `error` of one that is not as asked for."""
    calls = _calls(TINY if task.tiny else {})
    rounds = 1 if task.tiny else 2  # the first of a kind may import and compile
    with httpx.Client(base_url=url, timeout=600, trust_env=False) as client:
        return [
            [_answer(client, name, *call, task.device.type) for name, call in calls.items()] for _ in range(rounds)
        ][-1]


def _calls(options: Mapping[str, str]) -> dict[str, Call]:
    """By name."""
    b64 = base64.b64encode(PICTURE).decode()
    v1 = {"instances": [{"data": {"b64": b64}}]}
    v2 = {"inputs": [{"name": "image", "shape": [1], "datatype": "BYTES", "data": [b64]}]}
    files = {"data": PICTURE}
    checked = {"files": files, "data": {**options, "crosscheck": "captum"}}
    formats = {
        form: (EXPLAIN, kind, {"files": files, "data": {**options, "format": form}})
        for form, kind in MEDIA_TYPES.items()
    }
    return {
        "predictions": (PREDICT, JSON, {"files": files}),
        **formats,
        "checked by Captum": (EXPLAIN, JSON, checked),
        "V1 predict": ("/v1/models/zfnet:predict", JSON, {"json": v1}),
        "V1 explain": ("/v1/models/zfnet:explain", JSON, {"json": v1 | {"parameters": options}}),
        "V2 infer": ("/v2/models/zfnet/infer", JSON, {"json": v2}),
        "V2 explain": ("/v2/models/zfnet/explain", JSON, {"json": v2 | {"parameters": options}}),
    }


def _answer(
    client: httpx.Client, name: str, path: str, kind: str, request: Mapping[str, Any], device: str
) -> dict[str, object]:
    begin = time.perf_counter()
    try:
        answer = client.post(path, **request)
    except httpx.HTTPError as error:
        return {"answer": name, "error": repr(error)}
    found = {"answer": name, "seconds": time.perf_counter() - begin, "bytes": len(answer.content)}
    got = answer.headers.get("content-type", "")
    if answer.status_code != 200 or not got.startswith(kind):
        return found | {"error": f"{answer.status_code} {got} {answer.text[:500]}"}
    return found | (told(answer.json(), device) if path in (PREDICT, EXPLAIN) and kind == JSON else {})


def told(body: Mapping[str, Any], device: str) -> dict[str, object]:
    """What an answer in JSON says of itself, and as `error` what it should not say."""
    found: dict[str, object] = {}
    wrong = []
    if not body["model"]["device"].startswith(device):
        wrong.append(f"computed on {body['model']['device']}, not on {device}")
    if "occlusion" in body:
        found = {"exact": body["occlusion"]["exact"], "crosscheck": body.get("crosscheck")}
        wrong += [] if found["exact"] else ["its occlusion map is not exact"]
    checked = {method: body.get("crosscheck", {}).get(method, {}) for method in ("deconv", "occlusion")}
    wrong += [f"{method} differs from Captum's" for method in checked if checked[method].get("agrees") is False]
    return found | ({"error": "; ".join(wrong)} if wrong else {})
