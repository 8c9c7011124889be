"""The way of a batch of squares through the spatial layers of a chain, from changed cells to changed cells."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..net.chain import Activations, Chain
from ..net.geometry import Axis
from .changed import Boxes, Changed, Clean, Painted, Tiles
from .plan import Step
from .winograd import WinogradConvolution


class Sweep:
    """One picture's clean maps as rows of channels; `batch` leads squares through them.

    `transformed` has the filters of the layers whose step has a tiling.
    """

    def __init__(
        self,
        chain: Chain,
        steps: dict[str, Step],
        transformed: dict[str, WinogradConvolution],
        image: Tensor,
        clean: Activations,
        fill: Tensor,
    ) -> None:
        self.chain, self.steps, self.transformed = chain, steps, transformed
        self.maps = {name: clean.outputs[name][0] for name in chain.spatial}
        self.fill = _rows(fill)
        below = [image, *(self.maps[name] for name in chain.spatial[:-1])]
        self.read = {
            name: _padded(x, *chain.axes[name], chain.layer(name))
            for name, x in zip(chain.spatial, below, strict=True)
            if name in steps
        }

    def batch(self, painted: Boxes, part: slice, layer: str, feature: int) -> tuple[Tensor, Tensor]:
        """The last layer's maps of some squares, flattened [squares, values], and one map's sums [squares].

        `painted` are the boxes of all squares, `part` says which are led; the map is `feature` of `layer`.
        """
        boxes = painted.part(part)
        count, rows = len(boxes.top), self.fill.clone()
        changed: Changed = Painted(boxes.to(rows.device), self.chain.input_size[2])
        sums = rows.new_zeros(count)
        for name in self.chain.spatial:
            if name in self.steps:
                rows, changed = self._recompute(name, rows, changed, part)
            else:
                rows = _pointwise(self.chain.layer(name), rows)
            if name == layer:
                one = self.maps[name][feature : feature + 1]
                sums = _whole(one, rows[:, feature : feature + 1], changed, count).sum((1, 2))
        return _whole(self.maps[self.chain.spatial[-1]], rows, changed, count).transpose(1, 2).flatten(1), sums

    def _recompute(self, name: str, rows: Tensor, changed: Changed, part: slice) -> tuple[Tensor, Tiles]:
        """A layer's changed rows and where they are, from those before it."""
        step, clean, layer = self.steps[name], self.read[name], self.chain.layer(name)
        boxes = step.boxes.part(part)
        height, width = step.tiling.shape if step.tiling else boxes.largest()
        tiles = Tiles(boxes, height, width, step.tiling is not None, rows.device)
        vertical, horizontal = self.chain.axes[name]
        down = _reads(vertical, tiles.top, step.tiling.reads if step.tiling else vertical.span(height))
        across = _reads(horizontal, tiles.left, step.tiling.reads if step.tiling else horizontal.span(width))
        indices = clean.indices(changed, tiles.square, down, across)
        source = torch.cat([clean.rows, rows])
        if step.tiling is None:
            patches = source.index_select(0, indices.flatten()).view(*indices.shape, -1)
            return _channels(_apply(layer, patches.permute(0, 3, 1, 2))), tiles
        cells = _by_cell(indices, step.tiling.stride)
        patches = source.index_select(0, cells.flatten()).view(*cells.shape[:2], -1)
        return self.transformed[name](patches), tiles


def _reads(axis: Axis, first: Tensor, length: int) -> Tensor:
    """The `length` cells [tiles, length] of its input that a layer reads for outputs from `first` on."""
    start = first * axis.stride - axis.padding
    return start[:, None] + torch.arange(length, device=first.device)


def _by_cell(indices: Tensor, stride: int) -> Tensor:
    """Indices [tiles, n, n] cell by cell of stride x stride values: [cells, tiles, stride * stride]."""
    tiles, length, _ = indices.shape
    cells = length // stride
    split = indices.view(tiles, cells, stride, cells, stride).permute(1, 3, 0, 2, 4)
    return split.reshape(cells * cells, tiles, stride * stride)


def _whole(clean: Tensor, rows: Tensor, changed: Changed, count: int) -> Tensor:
    """The squares' maps [squares, cells, channels] from the clean map [channels, h, w] and the changed rows."""
    _, height, width = clean.shape
    down, across = (torch.arange(n, device=rows.device).expand(count, n) for n in (height, width))
    kept = Clean(_rows(clean), height, width)
    indices = kept.indices(changed, torch.arange(count, device=rows.device), down, across)
    return torch.cat([kept.rows, rows]).index_select(0, indices.flatten()).view(count, height * width, -1)


def _padded(x: Tensor, vertical: Axis, horizontal: Axis, layer: nn.Module) -> Clean:
    """A map [channels, h, w] with the padding that its layer reads."""
    value = -torch.inf if isinstance(layer, nn.MaxPool2d) else 0.0
    pad = (horizontal.padding, horizontal.padding_after, vertical.padding, vertical.padding_after)
    padded = functional.pad(x, pad, value=value)
    _, height, width = padded.shape
    return Clean(_rows(padded), height, width, -vertical.padding, -horizontal.padding)


def _rows(x: Tensor) -> Tensor:
    """A map [channels, h, w] as rows of channels."""
    return x.flatten(1).t().contiguous()


def _channels(x: Tensor) -> Tensor:
    """Maps [tiles, channels, h, w] as rows of channels."""
    return x.permute(0, 2, 3, 1).reshape(-1, x.shape[1])


def _pointwise(layer: nn.Module, rows: Tensor) -> Tensor:
    """A layer that takes every cell by itself, on rows that nobody else holds."""
    if isinstance(layer, nn.ReLU):
        return rows.relu_()
    return _channels(layer(rows.t()[None, :, :, None]))


def _apply(layer: nn.Module, patches: Tensor) -> Tensor:
    """The layer on patches that bring their own padding."""
    if isinstance(layer, nn.Conv2d):
        return functional.conv2d(patches, layer.weight, layer.bias, layer.stride, 0, 1, layer.groups)
    if isinstance(layer, nn.MaxPool2d):
        return functional.max_pool2d(patches, layer.kernel_size, layer.stride)
    if isinstance(layer, nn.AvgPool2d):
        return functional.avg_pool2d(patches, layer.kernel_size, layer.stride)
    raise TypeError(f"{type(layer).__name__} does not read patches")
