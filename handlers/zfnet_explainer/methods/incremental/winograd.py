"""Winograd's minimal filtering (Lavin & Gray, CVPR 2016), transposed: a convolution of differences.

A tile of m x m changed inputs adds to (m + r - 1)^2 outputs of an r x r kernel. That takes as many
multiplications a channel pair instead of m^2 r^2, and for all tiles and channels together they are
(m + r - 1)^2 matrix products. This is Toom and Cook's algorithm by overlap-add: tiles of inputs lie side by side,
and what they add overlaps in the outputs. Lavin & Gray's is its transpose, overlap-save: their tiles of outputs lie
side by side and read inputs that overlap. For m x m outputs it takes the same, but a changed box of inputs is smaller
than the box of outputs that it changes. The axes are independent: a tile may be longer than it is wide.

A strided convolution goes polyphase: the s x s values of each step of its stride, a phase block, are so many
channels of one input, and over these it is a convolution without stride.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from math import ceil, prod
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ...net.layers import pair
from .workspace import Workspace

# The first n - 1 of these and infinity, where a tile gives n outputs. More points would cost more
# digits than there are to spare: with five, rounding is 3e-6 of the largest output in float32.
POINTS = tuple(map(Fraction, ("0", "1", "-1", "1/2", "-2")))


@dataclass(frozen=True)
class TileSide:
    """A tile along one axis: `inputs` phase blocks of `stride` values each, for a kernel that spans `kernel` blocks."""

    inputs: int
    kernel: int
    stride: int

    @property
    def outputs(self) -> int:
        """How many outputs a tile adds to."""
        return self.inputs + self.kernel - 1


@dataclass(frozen=True)
class Tile:
    """The form of tiles, by both axes."""

    vertical: TileSide
    horizontal: TileSide

    @property
    def inputs(self) -> int:
        """Phase blocks that it reads."""
        return self.vertical.inputs * self.horizontal.inputs

    @property
    def outputs(self) -> int:
        """Outputs that it adds to, and as many multiplications for each pair of maps."""
        return self.vertical.outputs * self.horizontal.outputs

    @property
    def block(self) -> int:
        """Values in a phase block."""
        return self.vertical.stride * self.horizontal.stride

    def multiplications(self, maps_in: int, maps_out: int) -> int:
        """Multiply-adds for one with so many input and output maps, both transforms included."""
        wide = maps_in * self.block
        return self.outputs * (self.inputs * wide + wide * maps_out + self.outputs * maps_out)


def tiles_for(layer: nn.Conv2d) -> list[Tile]:
    """The forms that tiles of a convolution may have: none where it is grouped, reads each value once, or reads far."""
    if layer.groups > 1:
        return []
    down, across = map(_along, layer.kernel_size, pair(layer.stride))
    return [Tile(vertical, horizontal) for vertical, horizontal in product(down, across)]


def _along(kernel: int, stride: int) -> list[TileSide]:
    span = ceil(kernel / stride)
    return [TileSide(inputs, span, stride) for inputs in range(2, len(POINTS) + 3 - span)] if span > 1 else []


class WinogradConvolution:
    """A convolution's filters in the transformed domain, for tiles of one form."""

    def __init__(self, layer: nn.Conv2d, tile: Tile) -> None:
        self.tile = tile
        dtype, device = layer.weight.dtype, layer.weight.device
        down, across = (transforms(side.inputs, side.kernel).to(device) for side in (tile.vertical, tile.horizontal))
        filters = _polyphase(layer.weight.double(), tile).flip(2, 3)
        # out in kh kw -> (nh nw) in out
        transformed = torch.einsum("ia,jb,ocab->ijco", down.of_filter, across.of_filter, filters)
        self.filters = transformed.flatten(0, 1).to(dtype).contiguous()
        # Down and across at once: more multiplications than one after the other, but values go through memory once.
        self.of_input = torch.kron(down.of_input, across.of_input).to(dtype)
        self.to_output = torch.kron(down.to_output, across.to_output).to(dtype)

    def __call__(self, differences: Tensor, workspace: Workspace) -> Tensor:
        """Tiles' inputs [tiles, inputs, values of a block * maps] -> what they add to outputs [tiles, outputs, maps].

        Without the bias, which differences do not have.
        """
        transformed = _each(self.of_input, differences, "transformed", workspace)
        products = workspace.take(
            "products", differences.dtype, len(self.filters), len(differences), self.filters.shape[2]
        )
        torch.bmm(transformed.transpose(0, 1), self.filters, out=products)
        return _each(self.to_output, products.transpose(0, 1), "added", workspace)


def _each(matrix: Tensor, x: Tensor, role: str, workspace: Workspace) -> Tensor:
    """The matrix times every tile of x [tiles, n, maps]."""
    found = workspace.take(role, x.dtype, len(x), len(matrix), x.shape[2])
    torch.bmm(matrix.expand(len(x), -1, -1), x, out=found)
    return found


class Transforms(NamedTuple):
    """The matrices of tiles along one axis: of the input [n, m], of the filter [n, r], to the outputs [n, n]."""

    of_input: Tensor
    of_filter: Tensor
    to_output: Tensor

    def to(self, device: torch.device) -> "Transforms":
        return Transforms(*(matrix.to(device) for matrix in self))


def transforms(inputs: int, kernel: int) -> Transforms:
    """Toom and Cook's matrices in float64, for tiles of m inputs and a kernel of r.

    `to_output @ ((of_filter @ g) * (of_input @ d))` is the full convolution of d [m] with g [r], n = m + r - 1:
    both are evaluated at POINTS and infinity, and the product is interpolated there.
    """
    points = POINTS[: inputs + kernel - 2]
    others = {point: [other for other in points if other != point] for point in points}
    of_input = [_powers(point, inputs) for point in points]
    of_filter = [[_weight(point, others[point]) * power for power in _powers(point, kernel)] for point in points]
    to_output = [[*_coefficients(others[point]), Fraction(0)] for point in points]
    return Transforms(
        _matrix([*of_input, _at_infinity(inputs)]),
        _matrix([*of_filter, _at_infinity(kernel)]),
        _matrix([*to_output, _coefficients(points)]).t(),
    )


def _powers(point: Fraction, count: int) -> list[Fraction]:
    """The row that evaluates a polynomial of so many coefficients at a point."""
    return [point**power for power in range(count)]


def _at_infinity(count: int) -> list[Fraction]:
    """The row that evaluates it at infinity: its last coefficient."""
    return [Fraction(power == count - 1) for power in range(count)]


def _weight(point: Fraction, others: Sequence[Fraction]) -> Fraction:
    """The barycentric weight of a point in Lagrange's interpolation."""
    return Fraction(1) / prod(point - other for other in others)


def _polyphase(weight: Tensor, tile: Tile) -> Tensor:
    """Filters with phase blocks for channels, zeros where blocks go beyond the kernel.

    out in (kh sh) (kw sw) -> out (sh sw in) kh kw
    """
    v, h = tile.vertical, tile.horizontal
    out, maps, height, width = weight.shape
    padded = nn.functional.pad(weight, (0, h.kernel * h.stride - width, 0, v.kernel * v.stride - height))
    blocks = padded.view(out, maps, v.kernel, v.stride, h.kernel, h.stride)
    return blocks.permute(0, 3, 5, 1, 2, 4).reshape(out, -1, v.kernel, h.kernel)


def _coefficients(roots: Sequence[Fraction]) -> list[Fraction]:
    """Of the polynomial with these roots, lowest power first."""
    coefficients = [Fraction(1)]
    for root in roots:
        shifted, scaled = [Fraction(0), *coefficients], [*(c * -root for c in coefficients), Fraction(0)]
        coefficients = [a + b for a, b in zip(shifted, scaled, strict=True)]
    return coefficients


def _matrix(rows: list[list[Fraction]]) -> Tensor:
    return torch.tensor([[float(value) for value in row] for row in rows], dtype=torch.float64, device="cpu")
