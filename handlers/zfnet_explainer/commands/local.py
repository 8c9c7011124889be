"""The service that the server runs, in this process."""

from pathlib import Path

import typer

from ..explainer import Explainer
from ..net.checkpoint import load
from ..net.record import BadCheckpoint
from ..pictures.atlas import BadAtlas, atlas_folder, load_atlas
from ..service.answer import Answer
from ..service.service import Service
from ..service.settings import Limits
from ..torchserve.archive import package_version
from ..torchserve.devices import Device
from ..wire.request import Incoming
from .asking import Aborted, Ask, Options
from .device import picked


def local_service(weights: Path, device: Device) -> Service:
    """A service without a bound on the size of an answer."""
    try:
        checkpoint = load(weights)
        atlas = load_atlas(atlas_folder(weights), checkpoint.record.weights_sha256)
    except (BadCheckpoint, BadAtlas) as error:
        raise typer.BadParameter(str(error)) from error
    limits = Limits(max_response_bytes=2**40)
    explainer = Explainer(checkpoint, picked(device), atlas)
    return Service(explainer, checkpoint.record.name, package_version(), limits)


def asked_here(service: Service, options: Options) -> Ask:
    """What explains pictures with these options. It raises Aborted where the device has failed."""

    def here(picture: bytes) -> tuple[int, bytes]:
        answer = ask(service, picture, options)
        if service.device_lost:
            raise Aborted(
                f"{service.served.device} has failed, and computes nothing more in this process: "
                "give the same command again"
            )
        return answer.status.value, answer.body

    return here


def ask(service: Service, picture: bytes, options: Options) -> Answer:
    """The answer to an explanation's multipart form with these fields."""
    return service.answer([Incoming({"data": picture, **options}, {}, explain=True, kserve=False)], ["local"])[0]
