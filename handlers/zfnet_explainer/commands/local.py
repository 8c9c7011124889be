"""The service that the server runs, in this process."""

from pathlib import Path

import torch
import typer

from ..explainer import Explainer
from ..net.checkpoint import BadCheckpoint, load
from ..pictures.atlas import FOLDER, BadAtlas
from ..pictures.atlas import load as load_atlas
from ..service.answer import Answer
from ..service.service import Service
from ..service.settings import Limits
from ..torchserve.archive import package_version
from ..wire.request import Incoming


def local_service(weights: Path, device: str) -> Service:
    """A service without a bound on the size of an answer."""
    try:
        checkpoint = load(weights)
        atlas = load_atlas(weights.parent / FOLDER, checkpoint.record.weights_sha256)
    except (BadCheckpoint, BadAtlas) as error:
        raise typer.BadParameter(str(error)) from error
    limits = Limits(max_response_bytes=2**40)
    explainer = Explainer(checkpoint, pick_device(device), atlas)
    return Service(explainer, checkpoint.record.name, package_version(), limits)


def ask(service: Service, picture: bytes, options: dict[str, str]) -> Answer:
    """The answer to an explanation's multipart form with these fields."""
    return service.answer([Incoming({"data": picture, **options}, {}, explain=True, kserve=False)], ["local"])[0]


def pick_device(name: str) -> torch.device:
    """auto: the GPU where there is one. Raises typer.BadParameter for a GPU that is not there."""
    if name not in ("auto", "cpu", "cuda"):
        raise typer.BadParameter(f"--device is auto, cpu or cuda, not {name!r}")
    if name == "cuda" and not torch.cuda.is_available():
        raise typer.BadParameter("--device cuda: torch sees no GPU here; --device cpu works without one")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")
