"""The way of a batch of squares through the spatial layers of a chain, from changed cells to changed cells."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from ...net.chain import Chain
from .changed import Boxes, Changed, Painted, Recomputed, cells_from
from .clean import Clean, CleanMaps, kept, rows_of
from .plan import Step
from .winograd import Tiles, WinogradConvolution
from .workspace import Workspace


class Sweep:
    """The steps of squares that are recomputed alike; `batch` leads some of them through the layers.

    `transformed` has the filters of the layers whose step has tiles.
    """

    def __init__(
        self,
        chain: Chain,
        steps: dict[str, Step],
        transformed: dict[str, WinogradConvolution],
        clean: CleanMaps,
        fill: Tensor,
        workspace: Workspace,
    ) -> None:
        self.chain, self.steps, self.transformed = chain, steps, transformed
        self.clean, self.fill, self.workspace = clean, rows_of(fill), workspace

    def batch(self, painted: Boxes, part: slice, layer: str, feature: int) -> tuple[Tensor, Tensor]:
        """The last layer's maps of some squares, flattened [squares, values], and one map's sums [squares].

        `painted` are the boxes of all squares, `part` says which are led; the map is `feature` of `layer`.
        """
        boxes, rows = painted.part(part), self.fill.clone()
        changed: Changed = Painted(boxes, *self.chain.input_size[1:])
        count = len(boxes.top)
        sums = rows.new_zeros(count)
        for name in self.chain.spatial:
            if name in self.steps:
                rows, changed = self._recompute(name, rows, changed, part)
            else:
                rows = _pointwise(self.chain.layer(name), rows)
            if name == layer:
                one = kept(self.clean.maps[name][feature : feature + 1])
                sums = _whole(one, rows[:, feature : feature + 1], changed, count).sum((1, 2))
        last = self.clean.given(self.chain.spatial[-1])
        return _whole(last, rows, changed, count).transpose(1, 2).flatten(1), sums

    def _recompute(self, name: str, rows: Tensor, changed: Changed, part: slice) -> tuple[Tensor, Recomputed]:
        """A layer's recomputed rows and where they are, from those before it."""
        step = self.steps[name]
        read = self.clean.read(name, padded=step.tiles is None)
        down = cells_from(step.starts[0][part], step.vertical.reads)
        across = cells_from(step.starts[1][part], step.horizontal.reads)
        top, left = (first[part] for first in step.firsts)
        region = Recomputed(step.boxes.part(part), top, left, step.vertical.length, step.horizontal.length)
        if step.tiles is None:
            source = self.workspace.joined("source", read.rows, rows)
            patches = self.workspace.gather("read", source, read.indices(changed, down, across))
            patches = patches.view(len(down), down.shape[1], across.shape[1], -1)
            return _channels(_apply(self.chain.layer(name), patches.permute(0, 3, 1, 2))), region
        differences = self._differences(rows, read, changed)
        found = self._clean(name, top, left, step)
        self._add(found, differences, changed.rows(down, across), name, step.tiles)
        return found.flatten(0, 2), region

    def _differences(self, rows: Tensor, clean: Clean, changed: Changed) -> Tensor:
        """What each changed row has more than the clean one, behind a row of zeros."""
        before = self.workspace.gather("clean", clean.rows, clean.cells(*changed.region()))
        differences = self.workspace.take("differences", 1 + len(rows), rows.shape[1])
        differences[0] = 0
        torch.sub(rows, before, out=differences[1:])
        return differences

    def _clean(self, name: str, top: Tensor, left: Tensor, step: Step) -> Tensor:
        """What the layer gives for the clean picture where a step recomputes it: [squares, h, w, maps]."""
        given = self.clean.given(name)
        cells = given.cells(cells_from(top, step.vertical.length), cells_from(left, step.horizontal.length))
        return self.workspace.gather("given", given.rows, cells).view(*cells.shape, -1)

    def _add(self, to: Tensor, differences: Tensor, indices: Tensor, name: str, tiles: Tiles) -> None:
        """Add to outputs [squares, h, w, maps] what differences of inputs make of them, which lie at `indices`."""
        down, across = tiles.vertical, tiles.horizontal
        squares, height, width, _ = to.shape
        tall, wide = ((n - t.outputs) // t.inputs + 1 for n, t in ((height, down), (width, across)))
        read = self.workspace.gather("read", differences, _by_tile(indices, tiles))
        added = self.transformed[name](read.view(squares * tall * wide, tiles.inputs, -1), self.workspace)
        added = added.view(squares, tall, wide, down.outputs, across.outputs, -1)
        for i in range(tall):
            for j in range(wide):
                rows, cols = (slice(at * t.inputs, at * t.inputs + t.outputs) for at, t in ((i, down), (j, across)))
                to[:, rows, cols] += added[:, i, j]


def _by_tile(indices: Tensor, tiles: Tiles) -> Tensor:
    """Indices [squares, h, w] as [squares, tiles, tiles, inputs, inputs, stride, stride], each time down and across."""
    squares, height, width = indices.shape
    v, h = tiles.vertical, tiles.horizontal
    split = indices.view(squares, v.along(height), v.inputs, v.stride, h.along(width), h.inputs, h.stride)
    return split.permute(0, 1, 4, 2, 5, 3, 6)


def _whole(clean: Clean, rows: Tensor, changed: Changed, count: int) -> Tensor:
    """The squares' maps [squares, cells, channels] from the clean map and the changed rows."""
    down, across = (torch.arange(n, device=rows.device).expand(count, n) for n in (clean.height, clean.width))
    indices = clean.indices(changed, down, across)
    return torch.cat([clean.rows, rows]).index_select(0, indices.flatten()).view(count, len(clean.rows), -1)


def _channels(x: Tensor) -> Tensor:
    """Maps [squares, channels, h, w] as rows of channels."""
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
