"""Winograd's form of a convolution against torch's convolution in float64."""

import pytest
import torch
from torch import Tensor, nn

from zfnet_explainer.methods.incremental.winograd import Tile, TileSide, WinogradConvolution, tiles_for, transforms
from zfnet_explainer.methods.incremental.workspace import Workspace

from ...chains import seeded


def convolved(values: Tensor, weights: Tensor) -> Tensor:
    """The full convolution of a line of values with a kernel, multiplied out."""
    found = torch.zeros(len(values) + len(weights) - 1, dtype=values.dtype)
    for i, value in enumerate(values):
        found[i : i + len(weights)] += value * weights
    return found


@pytest.mark.parametrize(("inputs", "kernel"), [(2, 2), (5, 2), (2, 3), (3, 3), (4, 3), (3, 4), (2, 5)])
def test_transforms(inputs: int, kernel: int) -> None:
    of_input, of_filter, to_output = transforms(inputs, kernel)
    generator = torch.Generator().manual_seed(inputs)
    values, weights = (torch.randn(n, generator=generator, dtype=torch.float64) for n in (inputs, kernel))
    found = to_output @ ((of_filter @ weights) * (of_input @ values))
    torch.testing.assert_close(found, convolved(values, weights), rtol=0, atol=1e-12)


def test_transforms_of_two_inputs_are_lavin_and_grays_transposed() -> None:
    """Section 4.1 of their paper multiplies (d0 - d2) g0, (d1 + d2) (g0 + g1 + g2) / 2, ... for F(2, 3)."""
    _, of_filter, to_output = transforms(2, 3)
    products = {(tuple(abs(f).tolist()), tuple(abs(o).tolist())) for f, o in zip(of_filter, to_output.t(), strict=True)}
    assert products == {
        ((1.0, 0.0, 0.0), (1.0, 0.0, 1.0, 0.0)),
        ((0.5, 0.5, 0.5), (0.0, 1.0, 1.0, 0.0)),
        ((0.0, 0.0, 1.0), (0.0, 1.0, 0.0, 1.0)),
    }


@pytest.mark.parametrize("strides", [(1, 1), (2, 2), (3, 3), (1, 2)], ids="strides {0[0]} {0[1]}".format)
@pytest.mark.parametrize("kernels", [(2, 2), (3, 3), (5, 5), (7, 7), (3, 5)], ids="kernels {0[0]} {0[1]}".format)
def test_every_tile_adds_what_the_convolution_gives_for_it_alone(
    kernels: tuple[int, int], strides: tuple[int, int]
) -> None:
    layer = seeded(nn.Conv2d(3, 4, kernels, strides, bias=False), kernels[1]).double()
    generator = torch.Generator().manual_seed(kernels[1])
    found = tiles_for(layer)
    assert bool(found) == all(stride < kernel <= 5 * stride for kernel, stride in zip(kernels, strides, strict=True))
    for tile in found:
        sides = tile.vertical, tile.horizontal
        height, width = (side.inputs * side.stride for side in sides)
        tall, wide = ((side.kernel - 1) * side.stride for side in sides)
        inputs = torch.randn(6, 3, height, width, generator=generator, dtype=torch.float64)
        expected = layer(nn.functional.pad(inputs, (wide, wide, tall, tall)))
        blocks = inputs.unfold(2, strides[0], strides[0]).unfold(
            3, strides[1], strides[1]
        )  # [6, 3, blocks, blocks, s, t]
        differences = blocks.permute(0, 2, 3, 4, 5, 1).reshape(6, tile.inputs, -1).contiguous()
        added = WinogradConvolution(layer, tile)(differences, Workspace(differences.device))
        maps = added.view(6, tile.vertical.outputs, tile.horizontal.outputs, 4).permute(0, 3, 1, 2)
        rows, cols = expected.shape[-2:]  # a kernel that does not fill its blocks is cut a little sooner by the margin
        torch.testing.assert_close(
            maps[..., :rows, :cols],
            expected[..., : tile.vertical.outputs, : tile.horizontal.outputs],
            rtol=0,
            atol=1e-11,
        )


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(4, 4, 3, groups=2),
        nn.Conv2d(4, 4, 1),
        nn.Conv2d(4, 4, 3, stride=4),
        nn.Conv2d(4, 4, (3, 1)),
        nn.Conv2d(4, 4, 3, stride=(1, 3)),
        nn.Conv2d(4, 4, 7),
    ],
    ids=str,
)
def test_what_cannot_be_tiled(layer: nn.Conv2d) -> None:
    assert tiles_for(layer) == []


@pytest.mark.parametrize(("dtype", "bound"), [(torch.float32, 1e-5), (torch.bfloat16, 5e-2)], ids=str)
def test_rounding_of_the_largest_tile(dtype: torch.dtype, bound: float) -> None:
    """It stays within `bound` of the largest output, at as many maps as ZFNet's widest layer reads."""
    layer = seeded(nn.Conv2d(384, 8, 3, bias=False), 0).to(dtype)
    tiles = torch.randn(50, 384, 4, 4, generator=torch.Generator().manual_seed(0)).relu().to(dtype)
    differences = tiles.permute(0, 2, 3, 1).reshape(50, 16, 384).contiguous()
    largest = TileSide(inputs=4, kernel=3, stride=1)
    added = WinogradConvolution(layer, Tile(largest, largest))(differences, Workspace(differences.device))
    found = added.view(50, 6, 6, 8).permute(0, 3, 1, 2)
    exact = layer.double()(nn.functional.pad(tiles.double(), (2, 2, 2, 2)))
    deviation = float((found - exact).abs().max()) / float(exact.abs().max())
    assert deviation < bound
