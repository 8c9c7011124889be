"""Nets that are too large to build for every test; shared, so never to be changed."""

import pytest
import torch
import torchvision
from torch import nn

from zfnet_explainer.net.chain import Chain
from zfnet_explainer.net.zfnet import zfnet

from .chains import seeded


@pytest.fixture(scope="session")
def random_zfnet() -> Chain:
    """ZFNet with ten classes and seeded weights."""
    return seeded(zfnet(10), 0)


@pytest.fixture(scope="session")
def random_alexnet() -> nn.Sequential:
    """Torchvision's AlexNet with seeded weights, from pixels to logits."""
    with torch.device("meta"):
        net = torchvision.models.alexnet()
    return seeded(nn.Sequential(net.features, net.avgpool, nn.Flatten(), net.classifier), 1)
