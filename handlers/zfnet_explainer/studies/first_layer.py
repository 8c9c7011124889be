"""The filters of a net's first layer in numbers: how unequal they are, and how fine what they look for is."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..net.chain import Chain
from .tables import Table, percent

HIGH = 0.25
SPECTRUM = 64


@dataclass(frozen=True)
class FirstLayer:
    """`largest`: a filter's largest root mean square; `dominance`: that over the median one (section 3 of the paper).

    Filters that are zero have no part in the median; where all are, both are 0.
    `high`, `diagonal`: means over the filters of `high_share` and `diagonal_share`.
    """

    filters: int
    largest: float
    dominance: float
    high: float
    diagonal: float


def first_layer(chain: Chain) -> FirstLayer:
    """Measure the first convolution's filters."""
    filters = first_filters(chain)
    sizes = filters.square().mean((1, 2, 3)).sqrt()
    return FirstLayer(
        filters=len(filters),
        largest=float(sizes.max()),
        dominance=float(sizes.max() / sizes[sizes > 0].median()) if sizes.any() else 0.0,
        high=float(high_share(filters).mean()),
        diagonal=float(diagonal_share(filters).mean()),
    )


def first_layer_table(layer: FirstLayer) -> Table:
    """What was measured, beside what white noise would have."""
    rows = (
        ("filters", f"{layer.filters}", ""),
        ("largest over the median one", f"{layer.dominance:.2f}", ""),
        ("energy at high frequencies, across or down", percent(layer.high), "77 %"),
        ("energy at high frequencies, across and down", percent(layer.diagonal), "27 %"),
    )
    note = (
        "Largest: by root mean square. High: a quarter of a cycle a pixel or more. A fine grating is high in one "
        "direction, noise in both."
    )
    return Table("first-layer", "The first layer", ("", "measured", "white noise"), rows, note)


def first_filters(chain: Chain) -> Tensor:
    """The first convolution's filters [n, channels, height, width]."""
    return next(layer for layer in chain if isinstance(layer, nn.Conv2d)).weight.detach()


def high_share(patterns: Tensor) -> Tensor:
    """Share of the energy of each pattern [n, channels, height, width] at high frequencies [n], 0 where it is zero.

    High is a quarter of a cycle a pixel or more, across or down: periods of up to four pixels, such as the stride of
    AlexNet's first layer leaves behind. Outside its window a pattern is zero. White noise has 0.765 (33 of 64
    frequencies an axis are high), a pattern that does not change from pixel to pixel nearly 0, a chessboard nearly 1.
    """
    energy, down, across = _spectrum(patterns)
    return _share(energy, down | across)


def diagonal_share(patterns: Tensor) -> Tensor:
    """Share of the energy of each pattern [n, channels, height, width] at high frequencies across and down [n].

    The finest diagonal band, from which the noise in a picture is estimated (Donoho & Johnstone 1994): edges and
    gratings have little there. White noise has 0.266, a grating along an axis nearly 0, a chessboard nearly 1.
    """
    energy, down, across = _spectrum(patterns)
    return _share(energy, down & across)


def _spectrum(patterns: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Energy at each frequency [n, rows, columns], and which rows [rows, 1] and which columns [columns] are high."""
    height, width = (max(SPECTRUM, size) for size in patterns.shape[2:])
    energy = torch.fft.fft2(patterns.double(), (height, width)).abs().square().sum(1)
    down, across = (torch.fft.fftfreq(size, device=energy.device).abs() >= HIGH for size in (height, width))
    return energy, down[:, None], across


def _share(energy: Tensor, chosen: Tensor) -> Tensor:
    total = energy.sum((1, 2))
    return (energy * chosen).sum((1, 2)) / total.where(total > 0, 1)
