"""The way of a batch of squares through the spatial layers of a chain, from changed cells to changed cells."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..net.chain import Activations, Chain
from ..net.geometry import Axis
from .changed import Boxes, Changed, Clean, Painted, Recomputed
from .plan import Step
from .winograd import Tiling, WinogradConvolution
from .workspace import Workspace


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
        workspace: Workspace,
    ) -> None:
        self.chain, self.steps, self.transformed, self.workspace = chain, steps, transformed, workspace
        self.maps = {name: clean.outputs[name][0] for name in chain.spatial}
        self.fill = _rows(fill)
        below = dict(zip(chain.spatial, [image, *self.maps.values()], strict=False))
        self.read = {
            name: _kept(below[name]) if step.tiling else _padded(below[name], *chain.axes[name], chain.layer(name))
            for name, step in steps.items()
        }
        self.given = {name: _kept(self.maps[name]) for name, step in steps.items() if step.tiling}

    def batch(self, painted: Boxes, part: slice, layer: str, feature: int) -> tuple[Tensor, Tensor]:
        """The last layer's maps of some squares, flattened [squares, values], and one map's sums [squares].

        `painted` are the boxes of all squares, `part` says which are led; the map is `feature` of `layer`.
        """
        boxes, rows = painted.part(part), self.fill.clone()
        changed: Changed = Painted(boxes, self.chain.input_size[2])
        count = len(boxes.top)
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

    def _recompute(self, name: str, rows: Tensor, changed: Changed, part: slice) -> tuple[Tensor, Recomputed]:
        """A layer's recomputed rows and where they are, from those before it."""
        step, read = self.steps[name], self.read[name]
        down = _cells(step.starts[0][part], step.vertical.reads)
        across = _cells(step.starts[1][part], step.horizontal.reads)
        top, left = (first[part] for first in step.firsts)
        region = Recomputed(
            step.boxes.part(part), top, left, step.vertical.length, step.horizontal.length, step.tiling is not None
        )
        source = self.workspace.joined("source", read.rows, rows)
        indices = read.indices(changed, down, across)
        if step.tiling is None:
            patches = self.workspace.gather("read", source, indices).view(*indices.shape, -1)
            return _channels(_apply(self.chain.layer(name), patches.permute(0, 3, 1, 2))), region
        differences = self.workspace.gather("read", source, _by_tile(indices, step.tiling))
        differences -= self.workspace.gather("clean", read.rows, _by_tile(read.cells(down, across), step.tiling))
        found = self._clean(name, top, left, step)
        self._add(found, differences, name, step.tiling)
        return found.flatten(0, 2), region

    def _clean(self, name: str, top: Tensor, left: Tensor, step: Step) -> Tensor:
        """What the layer gives for the clean picture where a step recomputes it: [h, w, squares, maps]."""
        kept = self.given[name]
        cells = kept.cells(_cells(top, step.vertical.length), _cells(left, step.horizontal.length)).permute(1, 2, 0)
        return self.workspace.gather("given", kept.rows, cells).view(*cells.shape, -1)

    def _add(self, to: Tensor, differences: Tensor, name: str, tiling: Tiling) -> None:
        """Add to outputs [h, w, squares, maps] what the differences of the inputs, tile by tile, make of them."""
        height, width, squares, _ = to.shape
        inputs, outputs = tiling.inputs, tiling.outputs
        tall, wide = ((n - outputs) // inputs + 1 for n in (height, width))
        added = self.transformed[name](differences.view(inputs**2, tall * wide * squares, -1), self.workspace)
        added = added.view(outputs, outputs, tall, wide, squares, -1)
        for i in range(tall):
            for j in range(wide):
                reached = to[i * inputs : i * inputs + outputs, j * inputs : j * inputs + outputs]
                reached += added[:, :, i, j]


def _cells(first: Tensor, length: int) -> Tensor:
    """The `length` cells [squares, length] from each first one on."""
    return first[:, None] + torch.arange(length, device=first.device)


def _by_tile(indices: Tensor, tiling: Tiling) -> Tensor:
    """Indices [squares, h, w] as [inputs, inputs, tiles, tiles, squares, stride, stride]."""
    squares, height, width = indices.shape
    inputs, stride = tiling.inputs, tiling.stride
    split = indices.view(squares, tiling.along(height), inputs, stride, tiling.along(width), inputs, stride)
    return split.permute(2, 5, 1, 4, 0, 3, 6)


def _whole(clean: Tensor, rows: Tensor, changed: Changed, count: int) -> Tensor:
    """The squares' maps [squares, cells, channels] from the clean map [channels, h, w] and the changed rows."""
    _, height, width = clean.shape
    down, across = (torch.arange(n, device=rows.device).expand(count, n) for n in (height, width))
    kept = _kept(clean)
    indices = kept.indices(changed, down, across)
    return torch.cat([kept.rows, rows]).index_select(0, indices.flatten()).view(count, height * width, -1)


def _kept(x: Tensor) -> Clean:
    """A map [channels, h, w] as it is."""
    return Clean(_rows(x), x.shape[1], x.shape[2])


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
