"""The door: TorchServe's entry point, and the only module that knows TorchServe."""

import logging
from pathlib import Path
from typing import Any

import torch
from ts.context import Context
from zfnet_explainer.explainer import Explainer
from zfnet_explainer.net.checkpoint import load
from zfnet_explainer.wire.request import Incoming
from zfnet_explainer.wire.service import Limits, Service

log = logging.getLogger(__name__)


class ZFNetHandler:
    """Predictions and explanations of the checkpoint in the model folder, row by row."""

    def initialize(self, context: Context) -> None:
        """Load the weights onto the device that TorchServe assigns. Raises RuntimeError, BadCheckpoint."""
        settings = dict((context.model_yaml_config or {}).get("explainer", {}))
        device = choose_device(settings.pop("device", "auto"), context.system_properties["gpu_id"])
        checkpoint = load(Path(context.system_properties["model_dir"]) / "zfnet.safetensors")
        version = context.manifest["model"]["modelVersion"]
        self.service = Service(Explainer(checkpoint, device), context.model_name, version, Limits(**settings))
        log.info(
            "serving %s %s on %s, precisions %s",
            context.model_name,
            version,
            self.service.served.device,
            ", ".join(self.service.rules.precisions),
        )

    def handle(self, rows: list[dict[str, Any]], context: Context) -> list[bytes]:
        """Answer every row of a batch; predict and explain requests may be mixed."""
        indices = range(len(rows))
        incoming = [_incoming(rows[i], context.get_all_request_header(i)) for i in indices]
        answers = self.service.answer(incoming, [context.get_request_id(i) for i in indices])
        for i, answer in enumerate(answers):
            context.set_response_status(answer.status.value, answer.status.phrase, i)
            context.set_response_content_type(i, answer.content_type)
        return [answer.body for answer in answers]


def choose_device(wanted: str, gpu_id: int | None) -> torch.device:
    """The GPU that TorchServe assigned, or the CPU. Raises RuntimeError where that is not what was wanted."""
    if wanted not in ("auto", "cpu", "cuda"):
        raise RuntimeError(f"explainer.device in model-config.yaml is auto, cpu or cuda, not {wanted!r}")
    if wanted == "cpu" or (wanted == "auto" and gpu_id is None):
        return torch.device("cpu")
    if gpu_id is None:
        raise RuntimeError("explainer.device is cuda, but TorchServe assigned no GPU: is nvidia-smi on its PATH?")
    if not torch.cuda.is_available():
        raise RuntimeError(f"TorchServe assigned GPU {gpu_id}, but this torch cannot use it: driver or build too old?")
    return torch.device("cuda", int(gpu_id))


def _incoming(fields: dict[str, Any], headers: dict[str, Any]) -> Incoming:
    """TorchServe sets `url_path` on /predictions and /explanations alone, and `explain` from the route."""
    sent = {name: value for name, value in headers.items() if isinstance(value, str)}
    return Incoming(fields, sent, sent.get("explain") == "True", "url_path" not in sent)
