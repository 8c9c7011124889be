"""Incremental occlusion in its plainest form, to read before the engine: one square at a time, no tiles, no batches."""

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional

from zfnet_explainer.methods.occlusion import OcclusionMaps, as_maps
from zfnet_explainer.methods.squares import Squares
from zfnet_explainer.net.chain import Activations, Chain
from zfnet_explainer.net.geometry import Axis, Interval

Box = tuple[Interval, Interval]  # what changed of a map, down and across


def occlude_plainly(
    chain: Chain, image: Tensor, clean: Activations, fill: Tensor, squares: Squares, layer: str, feature: int
) -> OcclusionMaps:
    """Recompute of every layer the box that a square changes, and keep the clean picture's values around it."""
    logits, sums = [], []
    for top, left in squares.corners.tolist():
        box = (top, top + squares.window), (left, left + squares.window)
        maps = pasted(image, box, within(fill, box))
        for name in chain.spatial:
            module, unchanged = chain.layer(name), clean.outputs[name][0]
            if name in chain.axes:
                read, (down, across) = maps, chain.axes[name]
                box = down.touched(box[0]), across.touched(box[1])
                maps = pasted(unchanged, box, recomputed(module, read, box, down, across))
            else:  # every cell by itself
                maps = pasted(unchanged, box, module(within(maps, box)[None])[0])
            if name == layer:
                sums.append(maps[feature].sum())
        x = maps.flatten()[None]
        for name in chain.dense:
            x = chain.layer(name)(x)
        logits.append(x)
    return as_maps(squares, torch.cat(logits), torch.stack(sums))


def recomputed(module: nn.Module, maps: Tensor, box: Box, down: Axis, across: Axis) -> Tensor:
    """The layer's outputs in a box [maps, h, w], from the patch of padded maps that they read."""
    (top, bottom), (left, right) = box
    if top == bottom or left == right:  # it reads nothing that changed
        return maps.new_empty(0)
    value = -torch.inf if isinstance(module, nn.MaxPool2d) else 0.0
    pad = (across.padding, across.padding_after, down.padding, down.padding_after)
    y, x = top * down.stride, left * across.stride
    patch = (y, y + down.span(bottom - top)), (x, x + across.span(right - left))
    unpadded = copy.copy(module)
    unpadded.padding = (0, 0)  # type: ignore[assignment]
    found: Tensor = unpadded(within(functional.pad(maps, pad, value=value), patch)[None])
    return found[0]


def within(maps: Tensor, box: Box) -> Tensor:
    (top, bottom), (left, right) = box
    return maps[:, top:bottom, left:right]


def pasted(maps: Tensor, box: Box, values: Tensor) -> Tensor:
    """Maps with other values in a box, where there is one."""
    found = maps.clone()
    if values.numel():
        within(found, box)[:] = values
    return found
