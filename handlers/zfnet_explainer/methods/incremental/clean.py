"""The clean picture's maps as rows of channels, from which squares take all that they do not change."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from ...net.chain import Activations, Chain
from ...net.geometry import Axis
from .changed import Changed


@dataclass(frozen=True)
class Clean:
    """The clean map's cells as rows of channels; its first cell is (`top`, `left`), below 0 where it is padded."""

    rows: Tensor
    height: int
    width: int
    top: int = 0
    left: int = 0

    def cells(self, down: Tensor, across: Tensor) -> Tensor:
        """Which rows hold the cells `down` [squares, h] by `across` [squares, w]: [squares, h, w].

        A cell beyond the padded map gets the row of the nearest within.
        """
        rows = (down - self.top).clamp(0, self.height - 1) * self.width
        return rows[:, :, None] + (across - self.left).clamp(0, self.width - 1)[:, None, :]

    def indices(self, changed: Changed, down: Tensor, across: Tensor) -> Tensor:
        """The same of squares' maps, where rows of changed cells follow the clean ones."""
        rows = changed.rows(down, across)
        return torch.where(rows > 0, rows + (len(self.rows) - 1), self.cells(down, across))


class CleanMaps:
    """What every layer of a chain reads and gives for one picture; rows are made when they are first asked for."""

    def __init__(self, chain: Chain, image: Tensor, clean: Activations) -> None:
        self.maps = {name: clean.outputs[name][0] for name in chain.spatial}
        self._chain = chain
        self._below = dict(zip(chain.spatial, [image, *self.maps.values()], strict=False))
        self._made: dict[tuple[str, str], Clean] = {}

    def given(self, name: str) -> Clean:
        """The layer's map as it is."""
        return self._once("given", name, lambda: kept(self.maps[name]))

    def read(self, name: str, padded: bool) -> Clean:
        """The map below the layer, as it is or with the padding that the layer reads."""
        if padded:
            return self._once(
                "padded", name, lambda: _padded(self._below[name], *self._chain.axes[name], self._chain.layer(name))
            )
        return self._once("read", name, lambda: kept(self._below[name]))

    def _once(self, role: str, name: str, make: Callable[[], Clean]) -> Clean:
        if (role, name) not in self._made:
            self._made[role, name] = make()
        return self._made[role, name]


def kept(x: Tensor) -> Clean:
    """A map [channels, h, w] as it is."""
    return Clean(rows_of(x), x.shape[1], x.shape[2])


def rows_of(x: Tensor) -> Tensor:
    """A map [channels, h, w] as rows of channels."""
    return x.flatten(1).t().contiguous()


def _padded(x: Tensor, vertical: Axis, horizontal: Axis, layer: nn.Module) -> Clean:
    """A map [channels, h, w] with the padding that its layer reads."""
    value = -torch.inf if isinstance(layer, nn.MaxPool2d) else 0.0
    pad = (horizontal.padding, horizontal.padding_after, vertical.padding, vertical.padding_after)
    padded = functional.pad(x, pad, value=value)
    _, height, width = padded.shape
    return Clean(rows_of(padded), height, width, -vertical.padding, -horizontal.padding)
