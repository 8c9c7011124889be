"""The way of squares through the spatial layers of a chain, from changed cells to changed cells."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from ...net.chain import Chain
from .plan import Group
from .rows import CleanMaps, CleanRows, Painted, SquareRows, as_rows
from .steps import Direct, Step, Winograd, channels_last
from .winograd import Tile, WinogradConvolution
from .workspace import Workspace

Filters = Callable[[nn.Conv2d, Tile], WinogradConvolution]


class Sweep:
    """Leads a group's squares through the layers, some at a time."""

    def __init__(
        self, chain: Chain, group: Group, filters: Filters, clean: CleanMaps, fill: Tensor, workspace: Workspace
    ) -> None:
        self.chain, self.group, self.clean, self.fill = chain, group, clean, as_rows(fill).rows
        self._steps = {name: self._step(name, filters, workspace) for name in group.places}

    def batches(self, size: int, layer: str, feature: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Of `size` squares at a time the last layer's maps, flattened [squares, values], and one map's sums [squares].

        That one map is `feature` of `layer`.
        """
        for start in range(0, len(self.group.squares), size):
            yield self._through(slice(start, start + size), layer, feature)

    def _through(self, batch: slice, layer: str, feature: int) -> tuple[Tensor, Tensor]:
        boxes, rows = self.group.painted.of(batch), self.fill.clone()
        changed: SquareRows = Painted(boxes, *self.chain.input_size[1:])
        count = len(boxes.top)
        sums = rows.new_zeros(count)
        for name in self.chain.spatial:
            if name in self._steps:
                rows, changed = self._steps[name].recompute(rows, changed, batch)
            else:
                rows = _pointwise(self.chain.layer(name), rows)
            if name == layer:
                one = as_rows(self.clean.maps[name][feature : feature + 1])
                sums = _whole(one, rows[:, feature : feature + 1], changed, count).sum((1, 2))
        last = self.clean.given(self.chain.spatial[-1])
        return _whole(last, rows, changed, count).transpose(1, 2).flatten(1), sums  # n (h w) c -> n (c h w)

    def _step(self, name: str, filters: Filters, workspace: Workspace) -> Step:
        layer, place, clean = self.chain.layer(name), self.group.places[name], self.clean
        if isinstance(layer, nn.Conv2d) and place.work.tile is not None:
            convolution = filters(layer, place.work.tile)
            return Winograd(convolution, clean.below(name), clean.given(name), place, workspace)
        return Direct(layer, clean.padded(name), place, workspace)


def _whole(clean: CleanRows, rows: Tensor, changed: SquareRows, count: int) -> Tensor:
    """The squares' maps [squares, cells, channels] from the clean map and the changed rows."""
    down, across = (torch.arange(n, device=rows.device).expand(count, n) for n in (clean.height, clean.width))
    index = clean.index_with(changed, down, across)
    return torch.cat([clean.rows, rows]).index_select(0, index.flatten()).view(count, len(clean.rows), -1)


def _pointwise(layer: nn.Module, rows: Tensor) -> Tensor:
    """A layer that takes every cell by itself, on rows that nobody else holds."""
    if isinstance(layer, nn.ReLU):
        return rows.relu_()
    return channels_last(layer(rows.t()[None, :, :, None]))  # (n h w) c -> 1 c (n h w) 1
