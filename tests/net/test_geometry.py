"""One axis at a time, against layers that say themselves what reaches what."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from zfnet_explainer.net.chain import Chain
from zfnet_explainer.net.geometry import Axis, Box, Interval

from ..chains import SMALL, picture


def reached(kernel: int, stride: int, padding: int, ceil: bool, size: int) -> Tensor:
    """Matrix [inputs, outputs]: whether a spike at the input shows at the output."""
    spikes = torch.eye(size)[:, None]
    if ceil:
        out = functional.max_pool1d(spikes, kernel, stride, padding, ceil_mode=True)
    else:
        out = functional.conv1d(spikes, torch.ones(1, 1, kernel), stride=stride, padding=padding)
    return out[:, 0] > 0


def axes(kernel: int, stride: int) -> Iterator[tuple[Axis, Tensor]]:
    for size in range(kernel, 12):
        for ceil in (False, True):
            for padding in range(kernel // 2 + 1 if ceil else kernel):
                reach = reached(kernel, stride, padding, ceil, size)
                axis = Axis.over(size, kernel, stride, padding, ceil)
                assert axis == Axis(kernel, stride, padding, *reach.shape), "as torch counts outputs"
                yield axis, reach


def intervals(size: int) -> Iterator[Interval]:
    return ((first, last) for first in range(size) for last in range(first + 1, size + 1))


def hull(hits: Tensor) -> Interval | None:
    found = hits.nonzero().flatten().tolist()
    return (found[0], found[-1] + 1) if found else None


LAYERS = pytest.mark.parametrize("stride", range(1, 5), ids="stride {}".format)
KERNELS = pytest.mark.parametrize("kernel", range(1, 6), ids="kernel {}".format)


@KERNELS
@LAYERS
def test_touched(kernel: int, stride: int) -> None:
    for axis, reach in axes(kernel, stride):
        for first, last in intervals(axis.size_in):
            low, high = axis.touched((first, last))
            expected = hull(reach[first:last].any(0))
            assert 0 <= low <= high <= axis.size_out
            assert (low, high) == expected if expected else low == high, (axis, first, last)


@KERNELS
@LAYERS
def test_seen(kernel: int, stride: int) -> None:
    for axis, reach in axes(kernel, stride):
        for first, last in intervals(axis.size_out):
            assert axis.seen((first, last)) == hull(reach[:, first:last].any(1)), (axis, first, last)


@KERNELS
@LAYERS
def test_padding_after_ends_the_last_window(kernel: int, stride: int) -> None:
    for axis, _ in axes(kernel, stride):
        end = axis.padding + axis.size_in + axis.padding_after
        last = range(0, end - kernel + 1, stride)
        assert len(last) >= axis.size_out, axis
        assert axis.padding_after in (0, last[axis.size_out - 1] + kernel - axis.padding - axis.size_in), axis


def opened(chain: Chain) -> nn.Sequential:
    """The spatial layers with positive weights and averages in place of maxima: every path counts."""
    layers: list[nn.Module] = []
    for name in chain.spatial:
        layer = chain.layer(name)
        if isinstance(layer, nn.Conv2d):
            groups, kernel = layer.groups, (layer.kernel_size[0], layer.kernel_size[1])
            stride, padding = (layer.stride[0], layer.stride[1]), (int(layer.padding[0]), int(layer.padding[1]))
            layer = nn.Conv2d(layer.in_channels, layer.out_channels, kernel, stride, padding, groups=groups)
            layer.weight.data.fill_(1)
        elif isinstance(layer, nn.MaxPool2d):
            layer = nn.AvgPool2d(layer.kernel_size, layer.stride, layer.padding, layer.ceil_mode)
        elif not isinstance(layer, nn.AvgPool2d):
            layer = nn.Identity()
        layers.append(layer)
    return nn.Sequential(*layers)


def bounds(gradient: Tensor) -> Box:
    rows, cols = (hull((gradient != 0).any(0).any(axis)) for axis in (1, 0))
    assert rows is not None
    assert cols is not None
    return Box(rows[0], cols[0], rows[1], cols[1])


@pytest.mark.parametrize("kind", SMALL)
def test_receptive_field_is_the_tightest_box(kind: str) -> None:
    chain = SMALL[kind](0)
    net = opened(chain)
    x = torch.ones(1, *chain.input_size, requires_grad=True)
    for depth, name in enumerate(chain.spatial):
        out = net[: depth + 1](x)[0].sum(0)
        for row in {0, out.shape[0] // 2, out.shape[0] - 1}:
            for col in {0, out.shape[1] // 2, out.shape[1] - 1}:
                (gradient,) = torch.autograd.grad(out[row, col], x, retain_graph=True)
                assert chain.receptive_field(name, row, col) == bounds(gradient[0]), (name, row, col)


@pytest.mark.parametrize("kind", SMALL)
def test_nothing_outside_the_receptive_field_matters(kind: str) -> None:
    chain = SMALL[kind](0)
    x = picture(chain)
    maps = chain.run(x[None]).outputs[chain.features[-1]][0]
    row, col = maps.shape[1] // 2, maps.shape[2] - 1
    box = chain.receptive_field(chain.features[-1], row, col)
    other = picture(chain, seed=2)
    inside = (slice(None), slice(box.top, box.bottom), slice(box.left, box.right))
    other[inside] = x[inside]
    assert other.ne(x).any()
    again = chain.run(other[None]).outputs[chain.features[-1]][0]
    torch.testing.assert_close(again[:, row, col], maps[:, row, col], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("layer", "cell", "box"),
    [
        ("relu1", (0, 0), Box(0, 0, 6, 6)),
        ("relu1", (50, 51), Box(99, 101, 106, 108)),
        ("relu2", (12, 0), Box(95, 0, 122, 26)),
        ("relu3", (6, 6), Box(79, 79, 154, 154)),
        ("relu4", (6, 6), Box(63, 63, 170, 170)),
        ("relu5", (6, 6), Box(47, 47, 186, 186)),
        ("relu5", (0, 12), Box(0, 143, 90, 224)),
    ],
)
def test_zfnet_receptive_fields(random_zfnet: Chain, layer: str, cell: tuple[int, int], box: Box) -> None:
    """7, 27, 75, 107 and 139 pixels a side, 2, 8, 16, 16 and 16 apart, cut to the picture."""
    assert random_zfnet.receptive_field(layer, *cell) == box
