"""Whole requests: over HTTP from a server against the same bytes through the same service in this process."""

import io
from dataclasses import dataclass

import httpx
import numpy as np
from PIL import Image

from ...explanation import Pixels
from ...service.service import Service
from ...wire.request import Incoming
from .interleaved import medians
from .machine import CPU

SIDE = 320
# Rounds before the first that counts: TorchServe's Java compiles what it runs often, and predictions come first.
WARM_UP = {"predictions": 20, "explanations": 1}


@dataclass(frozen=True)
class RequestsRow:
    """Median seconds of one request on fresh pictures, over HTTP and in this process."""

    endpoint: str
    over_http: float
    in_process: float

    @property
    def ratio(self) -> float:
        return self.over_http / self.in_process


def measure(service: Service, url: str, endpoint: str, repeats: int) -> RequestsRow:
    """Time `predictions` or `explanations` both ways, in turn, no picture twice."""
    pictures = fresh_pictures(2 * (WARM_UP[endpoint] + repeats))
    with httpx.Client(base_url=url, timeout=600, trust_env=False) as client:

        def over_http() -> None:
            client.post(f"/{endpoint}/zfnet", files={"data": pictures.pop()}).raise_for_status()

        def in_process() -> None:
            explain = endpoint == "explanations"
            service.answer([Incoming({"data": pictures.pop()}, {}, explain=explain, kserve=False)], ["bench"])

        work = {"over_http": over_http, "in_process": in_process}
        return RequestsRow(endpoint, **medians(work, CPU, repeats, WARM_UP[endpoint]))


def fresh_pictures(count: int) -> list[bytes]:
    """JPEGs of 320 x 320 pixels, each another one: a cache of answers would help nobody."""
    generator = np.random.default_rng(0)
    return [_jpeg(generator.integers(0, 256, (20, 20, 3), dtype=np.uint8)) for _ in range(count)]


def _jpeg(coarse: Pixels) -> bytes:
    file = io.BytesIO()
    Image.fromarray(coarse).resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(file, "JPEG", quality=90)
    return file.getvalue()
