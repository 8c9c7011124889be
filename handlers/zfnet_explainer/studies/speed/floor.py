"""How many multiply-adds an occlusion map takes where only what a square touches is recomputed."""

from torch import nn

from ...methods.squares import Squares
from ...net.chain import Chain


def multiply_adds(chain: Chain, squares: Squares) -> int:
    """Of recomputing every touched cell of every convolution, and the linear layers, for every square."""
    vertical = [(top, top + squares.window) for top in squares.tops]
    horizontal = [(left, left + squares.window) for left in squares.lefts]
    total = 0
    for name, (down, across) in chain.axes.items():
        vertical = [down.touched(interval) for interval in vertical]
        horizontal = [across.touched(interval) for interval in horizontal]
        layer = chain.layer(name)
        if isinstance(layer, nn.Conv2d):
            cells = sum(b - a for a, b in vertical) * sum(b - a for a, b in horizontal)
            total += cells * layer.weight.numel()
    linear = sum(weight.numel() for name in chain.dense for weight in chain.layer(name).parameters() if weight.ndim > 1)
    return total + len(squares) * linear
