"""ZFNet with few maps and units: its layers, names and sizes, for tests that train, serve or explain a whole net.

The file can stand in the place of `zfnet_explainer/net/zfnet.py`: it needs nothing of the tests.
"""

from collections.abc import Mapping

from torch import nn

from zfnet_explainer.net.chain import Chain
from zfnet_explainer.net.norm import CrossMapNorm
from zfnet_explainer.net.thin import linear

UNITS = 160


def zfnet(classes: int, ranks: Mapping[str, int], stem: tuple[int, int] = (8, 12)) -> Chain:
    """For pictures [3, 224, 224]; `stem`: the maps of the first two layers."""
    first, second = stem
    return Chain(
        [
            ("conv1", nn.Conv2d(3, first, 7, stride=2, padding=1)),
            ("relu1", nn.ReLU()),
            ("pool1", nn.MaxPool2d(3, stride=2, ceil_mode=True)),
            ("norm1", CrossMapNorm(first)),
            ("conv2", nn.Conv2d(first, second, 5, stride=2)),
            ("relu2", nn.ReLU()),
            ("pool2", nn.MaxPool2d(3, stride=2, ceil_mode=True)),
            ("norm2", CrossMapNorm(second)),
            ("conv3", nn.Conv2d(second, 12, 3, padding=1)),
            ("relu3", nn.ReLU()),
            ("conv4", nn.Conv2d(12, 12, 3, padding=1)),
            ("relu4", nn.ReLU()),
            ("conv5", nn.Conv2d(12, 8, 3, padding=1)),
            ("relu5", nn.ReLU()),
            ("pool5", nn.MaxPool2d(3, stride=2, ceil_mode=True)),
            ("flatten", nn.Flatten()),
            ("fc6", linear(8 * 6 * 6, UNITS, ranks.get("fc6"))),
            ("relu6", nn.ReLU()),
            ("drop6", nn.Dropout()),
            ("fc7", linear(UNITS, UNITS, ranks.get("fc7"))),
            ("relu7", nn.ReLU()),
            ("drop7", nn.Dropout()),
            ("fc8", nn.Linear(UNITS, classes)),
        ],
        input_size=(3, 224, 224),
    )
