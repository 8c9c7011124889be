"""Winograd's minimal filtering (Lavin & Gray, CVPR 2016): a convolution in fewer multiplications.

A tile of m x m outputs of an r x r kernel takes (m + r - 1)^2 multiplications a channel pair instead
of m^2 r^2, and for all tiles and channels together they are (m + r - 1)^2 matrix products. A strided
convolution is the unstrided one over the cells of its stride as channels, so it goes the same way.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, prod

import torch
from torch import Tensor, nn

# The first n - 1 of these and infinity, where a tile reads n cells. More points would cost more
# digits than there are to spare: with five, rounding is 3e-6 of the largest output in float32.
POINTS = tuple(map(Fraction, ("0", "1", "-1", "1/2", "-2")))
ONE = 1  # where 1 stands in POINTS: a value there alone becomes that value in every output


@dataclass(frozen=True)
class Tiling:
    """Tiles of `outputs` x `outputs` cells for a kernel that spans `kernel` cells of `stride` values."""

    outputs: int
    kernel: int
    stride: int

    @property
    def cells(self) -> int:
        """Side of what a tile reads, in cells of `stride` x `stride` values."""
        return self.outputs + self.kernel - 1

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of a tile."""
        return self.outputs, self.outputs

    @property
    def reads(self) -> int:
        """Side of what a tile reads, in values."""
        return self.cells * self.stride

    def tiles(self, length: int) -> int:
        """How many tiles cover so many outputs along one axis."""
        return ceil(length / self.outputs)

    def multiplications(self, inputs: int, outputs: int) -> int:
        """Multiply-adds for one tile with so many input and output maps, both transforms included."""
        points, wide = self.cells**2, inputs * self.stride**2
        return points * (points * wide + wide * outputs + self.outputs**2 * outputs)


def tilings(layer: nn.Conv2d) -> list[Tiling]:
    """The ways to tile a convolution: none where it is grouped, not square, reads each value once, or reads far."""
    kernel, stride = layer.kernel_size[0], layer.stride[0]
    span = ceil(kernel / stride)
    if layer.groups > 1 or span == 1 or layer.kernel_size != (kernel, kernel) or layer.stride != (stride, stride):
        return []
    return [Tiling(outputs, span, stride) for outputs in range(2, len(POINTS) + 3 - span)]


class WinogradConvolution:
    """A convolution's filters in the transformed domain, for one tiling; float32 or float64."""

    def __init__(self, layer: nn.Conv2d, tiling: Tiling) -> None:
        self.tiling = tiling
        to_output, of_filter, of_input = (m.to(layer.weight.device) for m in transforms(tiling.outputs, tiling.kernel))
        filters = _cells_as_channels(layer.weight.double(), tiling)
        dtype = layer.weight.dtype
        transformed = torch.einsum("ia,jb,ocab->ijco", of_filter, of_filter, filters)
        self.filters = transformed.flatten(0, 1).to(dtype).contiguous()
        self.to_output = torch.kron(to_output, to_output).to(dtype)
        self.of_input = torch.kron(of_input, of_input).to(dtype)
        self.bias = layer.bias

    def __call__(self, inputs: Tensor) -> Tensor:
        """Tiles' inputs [cells * cells, tiles, stride * stride * maps] -> rows [outputs * outputs * tiles, maps]."""
        points = len(inputs)
        transformed = (self.of_input @ inputs.view(points, -1)).view(inputs.shape)
        products = torch.bmm(transformed, self.filters)
        if self.bias is not None:
            products[ONE * self.tiling.cells + ONE] += self.bias
        return (self.to_output @ products.view(points, -1)).view(-1, self.filters.shape[2])


def transforms(outputs: int, kernel: int) -> tuple[Tensor, Tensor, Tensor]:
    """Toom and Cook's matrices in float64: to outputs [m, n], of the filter [n, r], of the input [n, n].

    `to_output @ ((of_filter @ g) * (of_input @ d))` is the correlation of d [n] with g [r], n = m + r - 1.
    Derived over the polynomials through POINTS and infinity.
    """
    points = POINTS[: outputs + kernel - 2]
    to_output = [[p**j for p in points] + [Fraction(j == outputs - 1)] for j in range(outputs)]
    of_filter = [
        [p**j / prod((p - q for q in points if q != p), start=Fraction(1)) for j in range(kernel)] for p in points
    ]
    of_filter.append([Fraction(j == kernel - 1) for j in range(kernel)])
    of_input = [[*_coefficients([q for q in points if q != p]), Fraction(0)] for p in points]
    of_input.append(_coefficients(points))
    return _matrix(to_output), _matrix(of_filter), _matrix(of_input)


def _cells_as_channels(weight: Tensor, tiling: Tiling) -> Tensor:
    """Filters [out, in, k, k] -> [out, stride * stride * in, span, span], zeros where the span goes beyond k."""
    side, stride = tiling.kernel * tiling.stride, tiling.stride
    out, maps, kernel, _ = weight.shape
    padded = nn.functional.pad(weight, (0, side - kernel, 0, side - kernel))
    cells = padded.view(out, maps, tiling.kernel, stride, tiling.kernel, stride)
    return cells.permute(0, 3, 5, 1, 2, 4).reshape(out, -1, tiling.kernel, tiling.kernel)


def _coefficients(roots: Sequence[Fraction]) -> list[Fraction]:
    """Of the polynomial with these roots, lowest power first."""
    coefficients = [Fraction(1)]
    for root in roots:
        shifted, scaled = [Fraction(0), *coefficients], [*(c * -root for c in coefficients), Fraction(0)]
        coefficients = [a + b for a, b in zip(shifted, scaled, strict=True)]
    return coefficients


def _matrix(rows: list[list[Fraction]]) -> Tensor:
    return torch.tensor([[float(value) for value in row] for row in rows], dtype=torch.float64)
