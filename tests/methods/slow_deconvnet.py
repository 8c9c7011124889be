"""The deconvnet of Zeiler & Fergus section 2.1, cell by cell in float64: slow, and near to the text."""

from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray
from torch import nn

from zfnet_explainer.net.norm import CrossMapNorm

Maps = NDArray[np.float64]
Switch = tuple[int, int, int]
Pair = tuple[int, int]


@dataclass
class Step:
    """One layer on the way up: its input's shape, its output, and where each pooled cell came from."""

    layer: nn.Module
    shape: tuple[int, ...]
    output: Maps
    switches: dict[Switch, Switch]


def climb(layers: list[nn.Module], picture: Maps) -> list[Step]:
    """Evaluate the layers one after the other on [channels, height, width]."""
    steps: list[Step] = []
    x = picture
    for layer in layers:
        switches: dict[Switch, Switch] = {}
        shape = x.shape
        if isinstance(layer, nn.Conv2d):
            x = _convolve(layer, x)
        elif isinstance(layer, nn.ReLU):
            x = np.maximum(x, 0)
        elif isinstance(layer, nn.MaxPool2d):
            x, switches = _pool(layer, x)
        elif isinstance(layer, nn.AvgPool2d):
            x = _average(layer, x)
        elif isinstance(layer, CrossMapNorm):
            x = _normalise(layer, x)
        steps.append(Step(layer, shape, x, switches))
    return steps


def descend(steps: list[Step], signal: Maps) -> Maps:
    """Carry a signal from above the last step down to the pixels: unpool, rectify, filter."""
    for step in reversed(steps):
        below = np.zeros(step.shape)
        if isinstance(step.layer, nn.Conv2d):
            below = _filter(step.layer, signal, step.shape)
        elif isinstance(step.layer, nn.ReLU):
            below = np.maximum(signal, 0)
        elif isinstance(step.layer, nn.MaxPool2d):
            for cell in _lit(signal):
                below[step.switches[cell]] += signal[cell]
        elif isinstance(step.layer, nn.AvgPool2d):
            below = _share(step.layer, signal, step.shape)
        else:
            below = signal
        signal = below
    return signal


def slow_projection(layers: list[nn.Module], picture: Maps, feature: int) -> Maps:
    """Projection of the first largest value of one map of the last layer."""
    steps = climb(layers, picture)
    maps = steps[-1].output[feature]
    best = max(((r, c) for r in range(maps.shape[0]) for c in range(maps.shape[1])), key=lambda cell: maps[cell])
    start = np.zeros(steps[-1].output.shape)
    start[(feature, *best)] = maps[best]
    return descend(steps, start)


def _lit(signal: Maps) -> list[Switch]:
    """The cells that are not zero: the others add nothing below them."""
    return [(int(m), int(r), int(c)) for m, r, c in np.argwhere(signal)]


def _pair(value: object) -> Pair:
    return cast(Pair, value if isinstance(value, tuple) else (value, value))


def _weights(layer: nn.Conv2d) -> Maps:
    return cast(Maps, layer.weight.detach().double().numpy())


def _group(layer: nn.Conv2d, out: int) -> slice:
    """The input maps that an output map reads."""
    each = layer.in_channels // layer.groups
    first = out // (layer.out_channels // layer.groups) * each
    return slice(first, first + each)


def _convolve(layer: nn.Conv2d, x: Maps) -> Maps:
    (sr, sc), (pr, pc), (kr, kc) = _pair(layer.stride), _pair(layer.padding), _pair(layer.kernel_size)
    wide = np.pad(x, ((0, 0), (pr, pr), (pc, pc)))
    rows, cols = (wide.shape[1] - kr) // sr + 1, (wide.shape[2] - kc) // sc + 1
    weights = _weights(layer)
    out = np.zeros((layer.out_channels, rows, cols))
    for o, r, c in np.ndindex(out.shape):
        patch = wide[_group(layer, o), r * sr : r * sr + kr, c * sc : c * sc + kc]
        out[o, r, c] = (patch * weights[o]).sum() + (0 if layer.bias is None else float(layer.bias[o]))
    return out


def _filter(layer: nn.Conv2d, signal: Maps, shape: tuple[int, ...]) -> Maps:
    (sr, sc), (pr, pc), (kr, kc) = _pair(layer.stride), _pair(layer.padding), _pair(layer.kernel_size)
    wide = np.zeros((shape[0], shape[1] + 2 * pr, shape[2] + 2 * pc))
    weights = _weights(layer)
    for o, r, c in _lit(signal):
        wide[_group(layer, o), r * sr : r * sr + kr, c * sc : c * sc + kc] += signal[o, r, c] * weights[o]
    return wide[:, pr : pr + shape[1], pc : pc + shape[2]]


def _pooled_size(size: int, kernel: int, stride: int, padding: int, ceil: bool) -> int:
    """Windows that fit; in ceil mode one more, where it begins inside the map and sees what no other does."""
    count = (size + 2 * padding - kernel) // stride + 1
    start = count * stride - padding
    seen = start - stride + kernel
    return count + 1 if ceil and start < size and seen < size + padding else count


def _pool(layer: nn.MaxPool2d, x: Maps) -> tuple[Maps, dict[Switch, Switch]]:
    (sr, sc), (pr, pc), (kr, kc) = _pair(layer.stride), _pair(layer.padding), _pair(layer.kernel_size)
    rows = _pooled_size(x.shape[1], kr, sr, pr, layer.ceil_mode)
    cols = _pooled_size(x.shape[2], kc, sc, pc, layer.ceil_mode)
    out = np.zeros((len(x), rows, cols))
    switches = {}
    for m, r, c in np.ndindex(out.shape):
        window = [
            (m, i, j)
            for i in range(r * sr - pr, r * sr - pr + kr)
            for j in range(c * sc - pc, c * sc - pc + kc)
            if 0 <= i < x.shape[1] and 0 <= j < x.shape[2]
        ]
        switches[m, r, c] = max(window, key=lambda cell: x[cell])  # the first of equals
        out[m, r, c] = x[switches[m, r, c]]
    return out, switches


def _average(layer: nn.AvgPool2d, x: Maps) -> Maps:
    (sr, sc), (pr, pc), (kr, kc) = _pair(layer.stride), _pair(layer.padding), _pair(layer.kernel_size)
    wide = np.pad(x, ((0, 0), (pr, pr), (pc, pc)))
    rows, cols = (wide.shape[1] - kr) // sr + 1, (wide.shape[2] - kc) // sc + 1
    out = np.zeros((len(x), rows, cols))
    for m, r, c in np.ndindex(out.shape):
        out[m, r, c] = wide[m, r * sr : r * sr + kr, c * sc : c * sc + kc].mean()
    return out


def _share(layer: nn.AvgPool2d, signal: Maps, shape: tuple[int, ...]) -> Maps:
    (sr, sc), (pr, pc), (kr, kc) = _pair(layer.stride), _pair(layer.padding), _pair(layer.kernel_size)
    wide = np.zeros((shape[0], shape[1] + 2 * pr, shape[2] + 2 * pc))
    for m, r, c in _lit(signal):
        wide[m, r * sr : r * sr + kr, c * sc : c * sc + kc] += signal[m, r, c] / (kr * kc)
    return wide[:, pr : pr + shape[1], pc : pc + shape[2]]


def _normalise(layer: CrossMapNorm, x: Maps) -> Maps:
    out = np.zeros(x.shape)
    for m in range(len(x)):
        near = x[max(0, m - layer.size // 2) : m + (layer.size - 1) // 2 + 1]
        out[m] = x[m] / (layer.k + layer.alpha / layer.size * (near**2).sum(0)) ** layer.beta
    return out
