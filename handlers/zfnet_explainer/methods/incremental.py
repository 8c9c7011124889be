"""Exact incremental occlusion: recompute only what a square can change.

The clean picture is evaluated once. For each square, every spatial layer recomputes the window of
outputs that the square touches and takes all else from the clean picture (Nakandala et al., SIGMOD
2019, call it incremental inference). Nothing is approximated: a value outside the window is equal,
because it does not depend on the square.

A layer's work is few large operations, whatever the number of squares: one gather of the window's
inputs from the clean map, one copy of the recomputed window over them, one convolution or pool.
Maps are kept as rows of channels [cells, channels], so that a gather copies whole rows.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..net.chain import Activations, Chain
from ..net.geometry import Axis
from .occlusion import OcclusionMaps, as_maps
from .squares import Squares


@dataclass(frozen=True)
class Windows:
    """The recomputed part of one layer: values [positions, h, w, channels] and its corners [positions]."""

    values: Tensor
    top: Tensor
    left: Tensor


@torch.inference_mode()
def occlude_incremental(
    chain: Chain,
    image: Tensor,
    clean: Activations,
    fill: Tensor,
    squares: Squares,
    layer: str,
    feature: int,
    batch: int = 64,
) -> OcclusionMaps:
    """Evaluate every square as `occlude_full` does, equal to it within rounding.

    `clean` are the activations of `image` (batch 1), in the precision of `chain`.
    """
    maps = CleanMaps(chain, image, clean)
    flat, activity = [], []
    for corners in torch.split(squares.corners.to(image.device), batch):
        windows = _painted(fill, corners, squares.window)
        for name in chain.spatial:
            windows = maps.advance(name, windows)
            if name == layer:
                activity.append(maps.sums(name, feature, windows))
        flat.append(maps.whole(chain.spatial[-1], windows).flatten(1))
    x = torch.cat(flat)
    for name in chain.dense:
        x = chain.layer(name)(x)
    return as_maps(squares, x, torch.cat(activity))


class CleanMaps:
    """The clean picture's maps as padded rows of channels, and the step from one layer to the next."""

    def __init__(self, chain: Chain, image: Tensor, clean: Activations) -> None:
        self.chain = chain
        below = [image[None], *(clean.outputs[name] for name in chain.spatial[:-1])]
        self.outputs = {name: clean.outputs[name] for name in chain.spatial}
        self.padded = {
            name: _padded_rows(x, *chain.axes[name], _padding_value(chain.layer(name)))
            for name, x in zip(chain.spatial, below, strict=True)
            if name in chain.axes
        }

    def advance(self, name: str, windows: Windows) -> Windows:
        """The changed windows after layer `name`, from those before it."""
        layer = self.chain.layer(name)
        if name not in self.chain.axes:
            return Windows(_channels_last(layer(windows.values.permute(0, 3, 1, 2))), windows.top, windows.left)
        vertical, horizontal = self.chain.axes[name]
        top, height = _outputs(vertical, windows.top, windows.values.shape[1])
        left, width = _outputs(horizontal, windows.left, windows.values.shape[2])
        inputs = self._gather(name, windows, top, left, height, width)
        return Windows(_channels_last(_apply(layer, inputs.permute(0, 3, 1, 2))), top, left)

    def sums(self, name: str, feature: int, windows: Windows) -> Tensor:
        """Sum of one map with the windows in place [positions]."""
        return self._pasted(name, windows)[..., feature].sum((1, 2))

    def whole(self, name: str, windows: Windows) -> Tensor:
        """The layer's maps with the windows in place [positions, channels, height, width]."""
        return self._pasted(name, windows).permute(0, 3, 1, 2)

    def _pasted(self, name: str, windows: Windows) -> Tensor:
        clean = self.outputs[name][0].permute(1, 2, 0)
        height, width, channels = clean.shape
        count, high, wide, _ = windows.values.shape
        if (high, wide) == (height, width):
            return windows.values
        whole = clean.repeat(count, 1, 1, 1)
        cells = _cells(windows.top, windows.left, high, wide, width) + _starts(count, height * width, clean.device)
        whole.view(-1, channels)[cells.flatten()] = windows.values.reshape(-1, channels)
        return whole

    def _gather(self, name: str, windows: Windows, top: Tensor, left: Tensor, height: int, width: int) -> Tensor:
        """Inputs of an output window [positions, h, w, channels]: clean rows, changed ones over them."""
        vertical, horizontal = self.chain.axes[name]
        clean = self.padded[name]
        high = (height - 1) * vertical.stride + vertical.kernel
        wide = (width - 1) * horizontal.stride + horizontal.kernel
        first_row, first_col = top * vertical.stride, left * horizontal.stride
        rows = _cells(first_row, first_col, high, wide, clean.shape[1])
        count, channels = len(top), clean.shape[2]
        inputs = clean.view(-1, channels).index_select(0, rows.flatten()).view(count, high, wide, channels)
        row = windows.top + vertical.padding - first_row
        col = windows.left + horizontal.padding - first_col
        _paste(inputs, windows.values, row, col)
        return inputs


def _outputs(axis: Axis, first: Tensor, size: int) -> tuple[Tensor, int]:
    """First output of each position's window, and the one size that holds what any of them touches."""
    touched = [axis.touched((f, f + size)) for f in first.tolist()]
    length = max(1, max(high - low for low, high in touched))
    starts = [min(low, axis.size_out - length) for low, _ in touched]
    return torch.tensor(starts, device=first.device), length


def _paste(inputs: Tensor, values: Tensor, row: Tensor, col: Tensor) -> None:
    """Copy values [positions, h, w, c] into inputs at (row, col); what lies outside reaches no output."""
    count, high, wide, channels = inputs.shape
    down = row[:, None] + torch.arange(values.shape[1], device=row.device)
    across = col[:, None] + torch.arange(values.shape[2], device=col.device)
    cells = (_starts(count, high * wide, row.device) + down[:, :, None] * wide + across[:, None, :]).flatten()
    inside = (((down >= 0) & (down < high))[:, :, None] & ((across >= 0) & (across < wide))[:, None, :]).flatten()
    source = values.reshape(-1, channels)
    if not bool(inside.all()):
        cells, source = cells[inside], source[inside]
    inputs.view(-1, channels).index_copy_(0, cells, source)


def _painted(fill: Tensor, corners: Tensor, window: int) -> Windows:
    top, left = corners.unbind(1)
    rows = fill.permute(1, 2, 0).reshape(-1, fill.shape[0])
    cells = _cells(top, left, window, window, fill.shape[2])
    values = rows.index_select(0, cells.flatten()).view(len(corners), window, window, -1)
    return Windows(values, top, left)


def _cells(top: Tensor, left: Tensor, height: int, width: int, row_length: int) -> Tensor:
    """Flat indices [positions, height, width] of a window at each (top, left) of one map."""
    down = top[:, None] + torch.arange(height, device=top.device)
    across = left[:, None] + torch.arange(width, device=left.device)
    return down[:, :, None] * row_length + across[:, None, :]


def _starts(count: int, cells: int, device: torch.device) -> Tensor:
    return (torch.arange(count, device=device) * cells)[:, None, None]


def _padded_rows(x: Tensor, vertical: Axis, horizontal: Axis, value: float) -> Tensor:
    """A map [1, channels, h, w] as rows of channels, padded as its layer pads [h', w', channels]."""
    pad = (horizontal.padding, horizontal.padding_after, vertical.padding, vertical.padding_after)
    return functional.pad(x[0], pad, value=value).permute(1, 2, 0).contiguous()


def _padding_value(layer: nn.Module) -> float:
    return -torch.inf if isinstance(layer, nn.MaxPool2d) else 0.0


def _apply(layer: nn.Module, inputs: Tensor) -> Tensor:
    """The layer on windows that carry their own padding."""
    if isinstance(layer, nn.Conv2d):
        return functional.conv2d(inputs, layer.weight, layer.bias, layer.stride, 0, 1, layer.groups)
    if isinstance(layer, nn.MaxPool2d):
        return functional.max_pool2d(inputs, layer.kernel_size, layer.stride)
    if isinstance(layer, nn.AvgPool2d):
        return functional.avg_pool2d(inputs, layer.kernel_size, layer.stride)
    raise TypeError(f"{type(layer).__name__} does not read a window")


def _channels_last(x: Tensor) -> Tensor:
    return x.permute(0, 2, 3, 1).contiguous()
