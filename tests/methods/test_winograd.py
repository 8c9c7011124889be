"""Winograd's form of a convolution against torch's convolution in float64."""

import pytest
import torch
from torch import Tensor, nn

from zfnet_explainer.methods.winograd import Tiling, WinogradConvolution, tilings, transforms


def correlated(values: Tensor, weights: Tensor) -> Tensor:
    """What a kernel gives on a line of values, multiplied out."""
    kernel = len(weights)
    return torch.stack([(values[i : i + kernel] * weights).sum() for i in range(len(values) - kernel + 1)])


@pytest.mark.parametrize(("outputs", "kernel"), [(2, 2), (5, 2), (2, 3), (3, 3), (4, 3), (3, 4), (2, 5)])
def test_transforms(outputs: int, kernel: int) -> None:
    to_output, of_filter, of_input = transforms(outputs, kernel)
    generator = torch.Generator().manual_seed(outputs)
    values, weights = (torch.randn(n, generator=generator, dtype=torch.float64) for n in (outputs + kernel - 1, kernel))
    found = to_output @ ((of_filter @ weights) * (of_input @ values))
    torch.testing.assert_close(found, correlated(values, weights), rtol=0, atol=1e-12)


def test_transforms_of_two_outputs_are_lavin_and_grays() -> None:
    """Section 4.1 of their paper multiplies (d0 - d2) g0, (d1 + d2) (g0 + g1 + g2) / 2, ... for F(2, 3)."""
    _, of_filter, of_input = transforms(2, 3)
    products = {(tuple(abs(f).tolist()), tuple(abs(i).tolist())) for f, i in zip(of_filter, of_input, strict=True)}
    assert products == {
        ((1.0, 0.0, 0.0), (1.0, 0.0, 1.0, 0.0)),
        ((0.5, 0.5, 0.5), (0.0, 1.0, 1.0, 0.0)),
        ((0.0, 0.0, 1.0), (0.0, 1.0, 0.0, 1.0)),
    }


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("kernel", [2, 3, 5, 7])
def test_every_tiling_is_the_convolution(kernel: int, stride: int) -> None:
    torch.manual_seed(kernel)
    layer = nn.Conv2d(3, 4, kernel, stride, bias=stride != 2).double().requires_grad_(False)
    found = tilings(layer)
    assert bool(found) == (stride < kernel <= 5 * stride)
    for tiling in found:
        patches = torch.randn(6, 3, tiling.reads, tiling.reads, dtype=torch.float64)
        expected = layer(patches)[:, :, : tiling.outputs, : tiling.outputs]
        cells = patches.unfold(2, stride, stride).unfold(3, stride, stride)  # [tiles, maps, cells, cells, s, s]
        inputs = cells.permute(2, 3, 0, 4, 5, 1).reshape(tiling.cells**2, 6, -1)
        rows = WinogradConvolution(layer, tiling)(inputs).view(tiling.outputs, tiling.outputs, 6, 4)
        torch.testing.assert_close(rows.permute(2, 3, 0, 1), expected, rtol=0, atol=1e-11)


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(4, 4, 3, groups=2),
        nn.Conv2d(4, 4, 1),
        nn.Conv2d(4, 4, 3, stride=4),
        nn.Conv2d(4, 4, (3, 5)),
        nn.Conv2d(4, 4, 3, stride=(1, 2)),
        nn.Conv2d(4, 4, 7),
    ],
    ids=str,
)
def test_what_cannot_be_tiled(layer: nn.Conv2d) -> None:
    assert tilings(layer) == []


def test_rounding_of_the_largest_tile() -> None:
    """Float32 stays within 1e-5 of the largest output, at as many maps as ZFNet's widest layer reads."""
    torch.manual_seed(0)
    layer = nn.Conv2d(384, 8, 3).requires_grad_(False)
    tiling = Tiling(outputs=4, kernel=3, stride=1)
    patches = torch.randn(50, 384, 6, 6).relu()
    inputs = patches.permute(2, 3, 0, 1).reshape(36, 50, 384)
    found = WinogradConvolution(layer, tiling)(inputs).view(4, 4, 50, 8).permute(2, 3, 0, 1)
    exact = layer.double()(patches.double())
    assert float((found - exact).abs().max()) < 1e-5 * float(exact.abs().max())
