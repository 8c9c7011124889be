"""Winograd's minimal filtering (Lavin & Gray, CVPR 2016), transposed: a convolution of differences.

A tile of m x m changed inputs adds to (m + r - 1)^2 outputs of an r x r kernel. That takes as many
multiplications a channel pair instead of m^2 r^2, and for all tiles and channels together they are
(m + r - 1)^2 matrix products. Tiles of outputs, as in the paper, take the same for m x m outputs: a
changed box of inputs is smaller than the box of outputs that it changes. A strided convolution is the
unstrided one over the cells of its stride as channels, so it goes the same way.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, prod

import torch
from torch import Tensor, nn

from .workspace import Workspace

# The first n - 1 of these and infinity, where a tile gives n outputs. More points would cost more
# digits than there are to spare: with five, rounding is 3e-6 of the largest output in float32.
POINTS = tuple(map(Fraction, ("0", "1", "-1", "1/2", "-2")))


@dataclass(frozen=True)
class Tiling:
    """Tiles of `inputs` x `inputs` cells of `stride` x `stride` values, for a kernel that spans `kernel` cells."""

    inputs: int
    kernel: int
    stride: int

    @property
    def outputs(self) -> int:
        """Side of what a tile adds to."""
        return self.inputs + self.kernel - 1

    def along(self, values: int) -> int:
        """How many tiles so many values are, along one axis."""
        return values // (self.inputs * self.stride)

    def multiplications(self, maps_in: int, maps_out: int) -> int:
        """Multiply-adds for one tile with so many input and output maps, both transforms included."""
        points, wide = self.outputs**2, maps_in * self.stride**2
        return points * (self.inputs**2 * wide + wide * maps_out + points * maps_out)


def tilings(layer: nn.Conv2d) -> list[Tiling]:
    """The ways to tile a convolution: none where it is grouped, not square, reads each value once, or reads far."""
    kernel, stride = layer.kernel_size[0], layer.stride[0]
    span = ceil(kernel / stride)
    if layer.groups > 1 or span == 1 or layer.kernel_size != (kernel, kernel) or layer.stride != (stride, stride):
        return []
    return [Tiling(inputs, span, stride) for inputs in range(2, len(POINTS) + 3 - span)]


class WinogradConvolution:
    """A convolution's filters in the transformed domain, for one tiling; float32 or float64."""

    def __init__(self, layer: nn.Conv2d, tiling: Tiling) -> None:
        self.tiling = tiling
        of_input, of_filter, to_output = (m.to(layer.weight.device) for m in transforms(tiling.inputs, tiling.kernel))
        filters = _cells_as_channels(layer.weight.double(), tiling).flip(2, 3)
        dtype = layer.weight.dtype
        transformed = torch.einsum("ia,jb,ocab->ijco", of_filter, of_filter, filters)
        self.filters = transformed.flatten(0, 1).to(dtype).contiguous()
        # Down and across at once: more multiplications than one after the other, but values go through memory once.
        self.of_input, self.to_output = (torch.kron(m, m).to(dtype) for m in (of_input, to_output))

    def __call__(self, differences: Tensor, workspace: Workspace) -> Tensor:
        """Tiles' inputs [inputs^2, tiles, stride^2 * maps] -> what they add to outputs [outputs^2, tiles, maps].

        Without the bias, which differences do not have.
        """
        transformed = _matmul(self.of_input, differences, "transformed", workspace)
        products = workspace.take("products", *transformed.shape[:2], self.filters.shape[2])
        torch.bmm(transformed, self.filters, out=products)
        return _matmul(self.to_output, products, "added", workspace)


def _matmul(matrix: Tensor, x: Tensor, role: str, workspace: Workspace) -> Tensor:
    """The matrix times the first axis of x [n, tiles, maps]."""
    found = workspace.take(role, len(matrix), *x.shape[1:])
    torch.mm(matrix, x.flatten(1), out=found.flatten(1))
    return found


def transforms(inputs: int, kernel: int) -> tuple[Tensor, Tensor, Tensor]:
    """Toom and Cook's matrices in float64: of the input [n, m], of the filter [n, r], to outputs [n, n].

    `to_output @ ((of_filter @ g) * (of_input @ d))` is the full convolution of d [m] with g [r], n = m + r - 1:
    both are evaluated at POINTS and infinity, and the product is interpolated there.
    """
    points = POINTS[: inputs + kernel - 2]
    of_input = [[p**j for j in range(inputs)] for p in points]
    of_input.append([Fraction(j == inputs - 1) for j in range(inputs)])
    of_filter = [
        [p**j / prod((p - q for q in points if q != p), start=Fraction(1)) for j in range(kernel)] for p in points
    ]
    of_filter.append([Fraction(j == kernel - 1) for j in range(kernel)])
    to_output = [[*_coefficients([q for q in points if q != p]), Fraction(0)] for p in points]
    to_output.append(_coefficients(points))
    return _matrix(of_input), _matrix(of_filter), _matrix(to_output).t()


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
