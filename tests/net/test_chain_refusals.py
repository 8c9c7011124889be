"""What a chain refuses to be, said by the name of the layer."""

from collections import OrderedDict
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from zfnet_explainer.net.chain import Chain, as_chain
from zfnet_explainer.net.layers import UnsupportedLayer
from zfnet_explainer.net.norm import CrossMapNorm
from zfnet_explainer.net.thin import ThinLinear

from ..chains import named


def spatial(*layers: nn.Module) -> Callable[[], Chain]:
    """Builds a chain of named layers before Flatten."""
    named_layers = [(f"layer{i}", layer) for i, layer in enumerate(layers)]
    return lambda: Chain([*named_layers, ("flat", nn.Flatten()), ("fc", nn.Linear(1, 2))], (3, 12, 12))


CONV, RELU = nn.Conv2d(3, 4, 3), nn.ReLU()
SIZE = (3, 12, 12)


class Scaled(nn.ReLU):
    def forward(self, x: Tensor) -> Tensor:
        return 2 * super().forward(x)


class Twice(nn.Sequential):
    def forward(self, x: Tensor) -> Tensor:
        for layer in [*self, *self]:
            x = layer(x)
        return x


def _patched() -> nn.ReLU:
    layer = nn.ReLU()
    layer.forward = torch.sigmoid  # type: ignore[method-assign]
    return layer


def _blocks(count: int) -> list[nn.Sequential]:
    return [nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)) for _ in range(count)]


def _net(layer: nn.Module) -> nn.Sequential:
    return nn.Sequential(CONV, layer, nn.Flatten(), nn.Linear(400, 2))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        pytest.param(
            spatial(CONV, nn.BatchNorm2d(4), RELU), "layer1: BatchNorm2d .*right after a convolution", id="BatchNorm"
        ),
        pytest.param(spatial(CONV, nn.Sigmoid()), "layer1: Sigmoid", id="Sigmoid"),
        pytest.param(spatial(CONV, nn.LeakyReLU()), "layer1: LeakyReLU", id="LeakyReLU"),
        pytest.param(spatial(CONV, RELU, nn.LPPool2d(2, 2)), "layer2: LPPool2d", id="LPPool2d"),
        pytest.param(spatial(nn.Linear(12, 12)), "layer0: Linear", id="Linear before Flatten"),
        pytest.param(spatial(nn.Conv2d(3, 4, 3, dilation=2), RELU), "layer0: dilation", id="dilated convolution"),
        pytest.param(spatial(CONV, RELU, nn.MaxPool2d(2, dilation=2)), "layer2: dilation", id="dilated pool"),
        pytest.param(spatial(nn.Conv2d(3, 4, 3, padding="same"), RELU), "layer0: padding", id="same padding"),
        pytest.param(
            spatial(nn.Conv2d(3, 4, 3, padding=1, padding_mode="reflect"), RELU), "layer0: padding", id="reflection"
        ),
        pytest.param(spatial(CONV, RELU, nn.AvgPool2d(3, 2, ceil_mode=True)), "layer2: an average", id="ceil average"),
        pytest.param(spatial(CONV, RELU, nn.AvgPool2d(2, divisor_override=3)), "layer2: an average", id="divisor"),
        pytest.param(
            spatial(CONV, RELU, nn.AvgPool2d(2, 2, 1, count_include_pad=False)),
            "layer2: an average",
            id="pads uncounted",
        ),
        pytest.param(spatial(CONV, nn.MaxPool2d(2), RELU), "layer0: .* not by layer1", id="pool before ReLU"),
        pytest.param(spatial(CONV, RELU, nn.Conv2d(4, 4, 1)), "layer2: .* not by flat", id="ReLU after Flatten"),
        pytest.param(spatial(RELU), "at least one convolution", id="no convolution"),
        pytest.param(
            lambda: Chain(named(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Linear(4, 2)), (3, 12, 12)),
            "exactly one Flatten, this one has 0",
            id="no Flatten",
        ),
        pytest.param(
            lambda: Chain(named(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Flatten()), (3, 12, 12)),
            "exactly one Flatten, this one has 2",
            id="two Flattens",
        ),
        *(
            pytest.param(
                lambda flat=flat: as_chain(nn.Sequential(CONV, RELU, flat, nn.Linear(400, 2)), (3, 12, 12)),
                rf"2: Flatten\({said}\) does not make one row of each picture",
                id=f"Flatten from {said}",
            )
            for flat, said in (
                (nn.Flatten(0), "start_dim=0, end_dim=-1"),
                (nn.Flatten(2), "start_dim=2, end_dim=-1"),
                (nn.Flatten(1, 2), "start_dim=1, end_dim=2"),
            )
        ),
        pytest.param(
            lambda: Chain([*named(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten()), ("act", nn.Tanh())], (3, 12, 12)),
            "act: Tanh cannot stand after Flatten",
            id="Tanh after Flatten",
        ),
        pytest.param(
            spatial(CONV, RELU, nn.MaxPool2d(11)), r"layer2: pictures of \(3, 12, 12\) are too small", id="too small"
        ),
        pytest.param(spatial(nn.Conv2d(1, 4, 3), RELU), "layer0: Conv2d takes 1, but is given 3 channels", id="grey"),
        pytest.param(
            spatial(CONV, RELU, nn.MaxPool2d(2), nn.Conv2d(6, 4, 3), RELU),
            "layer3: Conv2d takes 6, but is given 4 channels",
            id="another number of channels",
        ),
        pytest.param(
            spatial(CONV, RELU, CrossMapNorm(5)), "layer2: CrossMapNorm takes 5, but is given 4 channels", id="norm"
        ),
        pytest.param(
            spatial(CONV, RELU, nn.MaxPool2d(2)), "fc: Linear takes 1, but is given 100 values", id="first linear layer"
        ),
        pytest.param(
            lambda: Chain(
                named(nn.Conv2d(3, 4, (3, 5)), RELU, nn.Flatten(), ThinLinear(320, 7, 2), nn.ReLU(), nn.Linear(8, 2)),
                (3, 12, 12),
            ),
            "fc2: Linear takes 8, but is given 7 values",
            id="later linear layer",
        ),
        pytest.param(
            spatial(nn.Conv2d(3, 4, (3, 1), padding=1), RELU),
            r"layer0: a convolution's padding is smaller than its kernel, \(3, 1\), not \(1, 1\)",
            id="nothing but padding",
        ),
        pytest.param(
            spatial(CONV, RELU, nn.MaxPool2d(2, padding=2)), "layer2: a pool's padding is at most half", id="max pads"
        ),
        pytest.param(
            spatial(CONV, RELU, nn.AvgPool2d((4, 2), padding=(1, 2))),
            r"layer2: a pool's padding is at most half its window, not \(1, 2\)",
            id="average pads",
        ),
        pytest.param(
            spatial(CONV, RELU, nn.MaxPool2d(2, return_indices=True)), "layer2: a pool gives its values", id="indices"
        ),
        pytest.param(
            lambda: as_chain(nn.Sequential(nn.Conv2d(3, 4, 3, padding="same"), RELU, nn.Flatten()), (3, 12, 12)),
            "0: padding",
            id="same padding of a net",
        ),
        pytest.param(
            lambda: as_chain(nn.Sequential(CONV, RELU, nn.AdaptiveAvgPool2d((5, 4)), nn.Flatten()), (3, 12, 12)),
            "2: an adaptive average pool of 10 x 10 cells to 5 x 4 has windows of several sizes: use nn.AvgPool2d",
            id="adaptive pool",
        ),
        pytest.param(
            lambda: as_chain(nn.Sequential(CONV, RELU, nn.AdaptiveAvgPool2d((10, 11)), nn.Flatten()), (3, 12, 12)),
            "2: an adaptive average pool of 10 x 10 cells to 10 x 11 has less to read than it gives: take larger pic",
            id="adaptive pool to more cells",
        ),
        pytest.param(
            lambda: as_chain(nn.Sequential(*_blocks(5), nn.AdaptiveAvgPool2d(1), nn.Flatten()), (3, 16, 16)),
            r"4\.2: pictures of \(3, 16, 16\) are too small for it",
            id="pooled away",
        ),
        pytest.param(
            lambda: as_chain(nn.Sequential(*_blocks(2), nn.Conv2d(3, 3, 5), nn.ReLU()), (3, 16, 16)),
            r"2: pictures of \(3, 16, 16\) are too small for it",
            id="less than a kernel",
        ),
        pytest.param(
            lambda: as_chain(nn.Sequential(nn.Sequential(CONV, nn.ELU()), nn.Flatten()), (3, 12, 12)),
            "0_1: ELU",
            id="nested",
        ),
        pytest.param(spatial(CONV, Scaled()), "layer1: Scaled is made from ReLU .* use ReLU itself", id="a subclass"),
        pytest.param(spatial(CONV, nn.ReLU(inplace=True)), "layer1: an in-place ReLU .* inplace=False", id="in place"),
        pytest.param(
            lambda: Chain([*named(CONV, RELU, nn.Flatten()), ("conv1", nn.Linear(400, 2))], (3, 12, 12)),
            "conv1: two layers have this name",
            id="one name twice",
        ),
        *(
            pytest.param(
                lambda name=name: Chain([*named(CONV, RELU, nn.Flatten()), (name, nn.Linear(400, 2))], (3, 12, 12)),
                f"{name}: a chain has something else of this name: rename this layer",
                id=f"named {name}",
            )
            for name in ("dense", "classes", "run", "spatial", "training")
        ),
        pytest.param(
            lambda: as_chain(nn.Sequential(OrderedDict(a=nn.Sequential(OrderedDict(b=CONV))) | {"a_b": RELU}), SIZE),
            r"a_b: two layers have this name \(`a\.b` is a_b here\)",
            id="names that meet",
        ),
        *(
            pytest.param(lambda layer=layer: as_chain(_net(layer), SIZE), message, id=message)
            for layer, message in (
                (Scaled(), "1: Scaled is made from ReLU"),
                (_patched(), "1: a forward of its own"),
                (Twice(nn.ReLU()), "1: a forward of its own, so that this Twice"),
                (nn.LocalResponseNorm(5, beta=0.5), r"1: cross-map .* beta 0\.75, got 0\.5"),
            )
        ),
        pytest.param(
            lambda: as_chain(nn.DataParallel(_net(RELU)), SIZE),
            r"DataParallel wraps a net: .* inside, `net\.module`",
            id="wrapped",
        ),
        pytest.param(
            lambda: as_chain(nn.Sequential(*_net(RELU), nn.Softmax(1)), SIZE),
            "4: Softmax .* an answer takes the softmax of the logits itself, leave it out",
            id="softmax",
        ),
    ],
)
def test_what_a_chain_cannot_express_is_named(build: Callable[[], Chain], message: str) -> None:
    with pytest.raises(UnsupportedLayer, match=message):
        build()
