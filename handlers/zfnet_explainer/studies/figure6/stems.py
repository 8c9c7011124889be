"""AlexNet's stem in front of our net, for the comparison of Figure 6."""

from collections.abc import Mapping

from torch import nn

from ...net.chain import Chain
from ...net.zfnet import zfnet


def zfnet_with_alexnet_stem(classes: int, ranks: Mapping[str, int]) -> Chain:
    """ZFNet but for the first two layers' windows and strides, which are those of Krizhevsky et al. (2012).

    Layer 1 has filters of 11x11 at stride 4 instead of 7x7 at 2 (section 4.1 of the paper), and layer 2 stride 1
    instead of 2 (its Figure 3), with pads that keep the maps from pool2 on as they are: 55x55, 27x27, 27x27, 13x13.
    Krizhevsky's two groups are not there, as in the paper. All else, widths included, is `zfnet`'s.
    """
    stem = {"conv1": nn.Conv2d(3, 96, 11, stride=4, padding=2), "conv2": nn.Conv2d(96, 256, 5, padding=2)}
    ours = zfnet(classes, ranks)
    return Chain([(name, stem.get(name, layer)) for name, layer in ours.named_children()], ours.input_size)
