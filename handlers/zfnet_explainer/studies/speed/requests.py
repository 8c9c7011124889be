"""Whole requests: over HTTP from a server against the same bytes through the same service in this process."""

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import median

import httpx
import numpy as np
from PIL import Image

from ...net.device import seconds
from ...service.service import Service
from ...wire.request import Incoming
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
    pictures = fresh_pictures()
    with httpx.Client(base_url=url, timeout=600, trust_env=False) as client:

        def over_http(picture: bytes) -> None:
            client.post(f"/{endpoint}/zfnet", files={"data": picture}).raise_for_status()

        def in_process(picture: bytes) -> None:
            explain = endpoint == "explanations"
            service.answer([Incoming({"data": picture}, {}, explain=explain, kserve=False)], ["bench"])

        asked: tuple[Callable[[bytes], None], ...] = (over_http, in_process)
        times: tuple[list[float], ...] = ([], [])
        for _ in range(WARM_UP[endpoint] + repeats):
            for way, taken in zip(asked, times, strict=True):
                taken.append(_timed(way, next(pictures)))
    return RequestsRow(endpoint, *(median(taken[-repeats:]) for taken in times))


def _timed(way: Callable[[bytes], None], picture: bytes) -> float:
    return seconds(lambda: way(picture), CPU)


def fresh_pictures() -> Iterator[bytes]:
    """JPEGs of 320 x 320 pixels, each another one: a cache of answers would help nobody."""
    generator = np.random.default_rng(0)
    while True:
        coarse = Image.fromarray(generator.integers(0, 256, (20, 20, 3), dtype=np.uint8))
        file = io.BytesIO()
        coarse.resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(file, "JPEG", quality=90)
        yield file.getvalue()
