"""Two ways to recompute a layer where squares change it: directly, or by tiles of differences in Winograd's form.

The axes of a tensor and how they are regrouped are in einops' notation: `n (h s) -> n s h` splits and exchanges.
"""

from abc import ABC, abstractmethod
from itertools import product

import torch
from torch import Tensor, nn
from torch.nn import functional

from .plan import Place
from .rows import CleanRows, Recomputed, SquareRows
from .winograd import WinogradConvolution
from .workspace import Workspace


class Step(ABC):
    """One layer's step for the squares of a group: `place` says where, for each of them."""

    def __init__(self, place: Place, workspace: Workspace) -> None:
        self.place, self.workspace = place, workspace

    @abstractmethod
    def recompute(self, rows: Tensor, changed: SquareRows, squares: slice) -> tuple[Tensor, Recomputed]:
        """The layer's rows for some squares, and where they are, out of the `rows` of what `changed` below."""


class Direct(Step):
    """Gather patches of the squares' maps and run the layer on them; `padded` is the clean map that it reads."""

    def __init__(self, layer: nn.Module, padded: CleanRows, place: Place, workspace: Workspace) -> None:
        super().__init__(place, workspace)
        self.layer, self.padded = layer, padded

    def recompute(self, rows: Tensor, changed: SquareRows, squares: slice) -> tuple[Tensor, Recomputed]:
        index = self.padded.index_with(changed, *self.place.read(squares))
        source = self.workspace.joined("source", self.padded.rows, rows)
        patches = channels_first(self.workspace.gather("read", source, index), *index.shape)
        return channels_last(_apply(self.layer, patches)), self.place.region(squares)


class Winograd(Step):
    """The clean output plus the convolution of the input's differences from the clean input: it is linear.

    `below` and `given` are the clean maps that the layer reads and gives.
    """

    def __init__(
        self,
        convolution: WinogradConvolution,
        below: CleanRows,
        given: CleanRows,
        place: Place,
        workspace: Workspace,
    ) -> None:
        super().__init__(place, workspace)
        self.convolution, self.below, self.given = convolution, below, given
        self.tall, self.wide = place.work.vertical.tile_count, place.work.horizontal.tile_count

    def recompute(self, rows: Tensor, changed: SquareRows, squares: slice) -> tuple[Tensor, Recomputed]:
        region = self.place.region(squares)
        differences = self._differences(rows, changed)
        index = self.given.index(*region.cells())
        outputs = self.workspace.gather("given", self.given.rows, index).view(*index.shape, -1)
        self._add(outputs, differences, changed.index(*self.place.read(squares)))
        return outputs.flatten(0, 2), region

    def _differences(self, rows: Tensor, changed: SquareRows) -> Tensor:
        """Each changed row minus its cell's clean row, behind a row of zeros, to which unchanged cells point."""
        before = self.workspace.gather("clean", self.below.rows, self.below.index(*changed.cells()))
        differences = self.workspace.take("differences", rows.dtype, 1 + len(rows), rows.shape[1])
        differences[0] = 0
        torch.sub(rows, before, out=differences[1:])
        return differences

    def _add(self, outputs: Tensor, differences: Tensor, index: Tensor) -> None:
        """Add to outputs [squares, h, w, maps] what the differences at `index` [squares, h, w] make of them."""
        tile = self.convolution.tile
        v, h = tile.vertical, tile.horizontal
        read = self.workspace.gather("read", differences, self._by_tile(index))
        added = self.convolution(read.view(len(index) * self.tall * self.wide, tile.inputs, -1), self.workspace)
        # (n th tw) (oh ow) maps -> n th tw oh ow maps
        added = added.view(len(index), self.tall, self.wide, v.outputs, h.outputs, -1)
        for i, j in product(range(self.tall), range(self.wide)):  # neighbours overlap: overlap-add
            top, left = i * v.inputs, j * h.inputs
            outputs[:, top : top + v.outputs, left : left + h.outputs] += added[:, i, j]

    def _by_tile(self, index: Tensor) -> Tensor:
        """Indices [squares, h, w] of values as tiles of phase blocks."""
        v, h = self.convolution.tile.vertical, self.convolution.tile.horizontal
        split = index.view(len(index), self.tall, v.inputs, v.stride, self.wide, h.inputs, h.stride)
        return split.permute(0, 1, 4, 2, 5, 3, 6)  # n (th ih sh) (tw iw sw) -> n th tw ih iw sh sw


def channels_first(rows: Tensor, squares: int, height: int, width: int) -> Tensor:
    """Rows of channels as maps: (n h w) c -> n c h w."""
    if rows.shape[1] == 1:  # strides as a picture's: oneDNN misreads one map with those of channels that come last
        return rows.view(squares, 1, height, width)
    return rows.view(squares, height, width, -1).permute(0, 3, 1, 2)


def channels_last(x: Tensor) -> Tensor:
    """Maps as rows of channels: n c h w -> (n h w) c."""
    return x.permute(0, 2, 3, 1).reshape(-1, x.shape[1])


def _apply(layer: nn.Module, patches: Tensor) -> Tensor:
    """The layer on patches that bring their own padding."""
    if isinstance(layer, nn.Conv2d):
        weight = layer.weight
        if weight.shape[1] == 1:  # as `channels_first` has patches of one map: `as_chain` takes weights as they lie
            weight = weight.flatten().view(weight.shape)
        return functional.conv2d(patches, weight, layer.bias, layer.stride, 0, 1, layer.groups)
    if isinstance(layer, nn.MaxPool2d):
        return functional.max_pool2d(patches, layer.kernel_size, layer.stride)
    if isinstance(layer, nn.AvgPool2d):
        return functional.avg_pool2d(patches, layer.kernel_size, layer.stride)
    raise TypeError(f"{type(layer).__name__} does not read patches")
