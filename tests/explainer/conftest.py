"""A small net, its explainer and a picture."""

import pytest

from zfnet_explainer.explainer import Explainer
from zfnet_explainer.explanation import Pixels
from zfnet_explainer.net.chain import Chain
from zfnet_explainer.net.checkpoint import Checkpoint

from ..chains import like_zfnet
from ..explained import SIDE, record
from ..samples import noise
from .small import CPU


@pytest.fixture
def chain() -> Chain:
    return like_zfnet(size=(3, SIDE, SIDE))


@pytest.fixture
def explainer(chain: Chain) -> Explainer:
    return Explainer(Checkpoint(chain, record(5, SIDE)), CPU)


@pytest.fixture
def pixels() -> Pixels:
    return noise(SIDE, SIDE).copy()
