"""A service of a random net with three classes, and requests as a server hands them over."""

from collections.abc import Mapping
from functools import cache
from typing import Any

import torch

from zfnet_explainer.explainer import Explainer
from zfnet_explainer.net.checkpoint import Checkpoint
from zfnet_explainer.net.record import ClassName, Preprocessing, Record
from zfnet_explainer.net.zfnet import zfnet
from zfnet_explainer.pictures.atlas import Atlas
from zfnet_explainer.service.observation import Observer, unobserved
from zfnet_explainer.service.service import Service
from zfnet_explainer.service.settings import Limits
from zfnet_explainer.training.recipe import FAST
from zfnet_explainer.wire.request import Incoming

from .chains import seeded

RECORD = Record(
    "zfnet-random",
    "zfnet",
    (ClassName("n01", "tench"), ClassName("n02", "beagle"), ClassName("n03", "golf ball")),
    Preprocessing(224, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)),
    {},
    {"top1": 0.5, "images": 10},
    "Apache-2.0",
    "ab" * 32,
)
# As little work as an explanation of everything can be.
SMALL = {"window": "112", "stride": "112", "features": "2"}


@cache
def checkpoint() -> Checkpoint:
    """The same random net every time, as thin as one that is trained; never to be changed."""
    return Checkpoint(seeded(zfnet(len(RECORD.classes), FAST.ranks), 0), RECORD)


def service(observer: Observer = unobserved, limits: Limits | None = None, atlas: Atlas | None = None) -> Service:
    """A service of the random net on the CPU."""
    explainer = Explainer(checkpoint(), torch.device("cpu"), atlas)
    return Service(explainer, "zfnet", "1.0.0", limits or Limits(), observer)


def sent(fields: Mapping[str, Any], explain: bool, kserve: bool = False, **headers: str) -> Incoming:
    """A request with these fields and headers."""
    return Incoming(dict(fields), headers, explain, kserve)
