"""ZFNet, the net of Figure 3 of Zeiler & Fergus, "Visualizing and Understanding Convolutional Networks"."""

from collections.abc import Mapping

from torch import nn

from .chain import Chain
from .norm import CrossMapNorm
from .thin import linear


def zfnet(classes: int, ranks: Mapping[str, int]) -> Chain:
    """Build ZFNet for pictures [3, 224, 224], fc6 and fc7 as products of two thin matrices where they have a rank.

    The paper gives filters, strides and sizes; pads 1, 0, 1, 1, 1 and pools that keep a cut last
    window (ceil mode) are what makes its sizes 110, 55, 26, 13, 13, 13, 13, 6 come out.
    """
    return Chain(
        [
            ("conv1", nn.Conv2d(3, 96, 7, stride=2, padding=1)),
            ("relu1", nn.ReLU()),
            ("pool1", nn.MaxPool2d(3, stride=2, ceil_mode=True)),
            ("norm1", CrossMapNorm(96)),
            ("conv2", nn.Conv2d(96, 256, 5, stride=2)),
            ("relu2", nn.ReLU()),
            ("pool2", nn.MaxPool2d(3, stride=2, ceil_mode=True)),
            ("norm2", CrossMapNorm(256)),
            ("conv3", nn.Conv2d(256, 384, 3, padding=1)),
            ("relu3", nn.ReLU()),
            ("conv4", nn.Conv2d(384, 384, 3, padding=1)),
            ("relu4", nn.ReLU()),
            ("conv5", nn.Conv2d(384, 256, 3, padding=1)),
            ("relu5", nn.ReLU()),
            ("pool5", nn.MaxPool2d(3, stride=2, ceil_mode=True)),
            ("flatten", nn.Flatten()),
            ("fc6", linear(256 * 6 * 6, 4096, ranks.get("fc6"))),
            ("relu6", nn.ReLU()),
            ("drop6", nn.Dropout()),
            ("fc7", linear(4096, 4096, ranks.get("fc7"))),
            ("relu7", nn.ReLU()),
            ("drop7", nn.Dropout()),
            ("fc8", nn.Linear(4096, classes)),
        ],
        input_size=(3, 224, 224),
    )
