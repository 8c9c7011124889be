"""The nets that are timed: seeded weights serve, as neither time nor exactness depends on them."""

from typing import TypeVar

import torch
import torchvision
from torch import nn

from ...net.chain import Chain, as_chain
from ...net.zfnet import zfnet
from ...training.recipe import FAST

SIZE = (3, 224, 224)
NETS = ("zfnet", "alexnet", "vgg16")


Net = TypeVar("Net", bound=nn.Module)


def net(name: str) -> Chain:
    """ZFNet as thin as `fast` trains it, torchvision's AlexNet or VGG16: 1000 classes, He's weights, eval mode."""
    if name == "zfnet":
        return _seeded(zfnet(1000, FAST.ranks))
    built = torchvision.models.get_model(name)
    return as_chain(_seeded(nn.Sequential(built.features, built.avgpool, nn.Flatten(), built.classifier)), SIZE)


def _seeded(chain: Net) -> Net:
    torch.manual_seed(0)
    for parameter in chain.parameters():
        if parameter.ndim > 1:
            nn.init.kaiming_normal_(parameter)
        else:
            nn.init.zeros_(parameter)
    chain.requires_grad_(False)
    chain.eval()
    return chain
