"""How fine the first layer's filters are, against patterns whose frequencies are known and a slow transform."""

import math

import pytest
import torch
from torch import Tensor

from zfnet_explainer.studies.figure6.figure import number_table
from zfnet_explainer.studies.first_layer import diagonal_share, first_layer, first_layer_table, high_share
from zfnet_explainer.studies.tables import percent

from ..chains import like_zfnet

NOISE_HIGH = 1 - (31 / 64) ** 2  # of 64 frequencies an axis, 31 are below a quarter of a cycle
NOISE_DIAGONAL = (33 / 64) ** 2


def wave(down: float, across: float, side: int) -> Tensor:
    """Cosine of so many cycles a pixel [1, 1, side, side]."""
    rows, cols = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    return torch.cos(2 * math.pi * (down * rows + across * cols))[None, None]


@pytest.mark.parametrize(
    ("pattern", "high", "diagonal"),
    [
        (torch.zeros(1, 3, 7, 7), 0, 0),
        (torch.ones(1, 3, 64, 64), 0, 0),
        (wave(0.5, 0.5, 48), 1, 1),
        (wave(1 / 8, 0, 64), 0, 0),
        (wave(0, 1 / 4, 64), 1, 0),
        (wave(3 / 8, 1 / 16, 128), 1, 0),
        (wave(3 / 8, 5 / 16, 128), 1, 1),
        (wave(1 / 8, 0, 64) + wave(0.3, 0.1, 64) * 2, 0.8, 0),
        (wave(0, 0.4, 64) + wave(0.3, 0.3, 64) * 2, 1, 0.8),
    ],
    ids=[
        "nothing", "constant", "chessboard", "period 8", "period 4", "mixed directions", "diagonal",
        "a weaker and a stronger wave", "a grating and a stronger diagonal",
    ],
)  # fmt: skip
def test_shares_of_known_waves(pattern: Tensor, high: float, diagonal: float) -> None:
    assert float(high_share(pattern)) == pytest.approx(high, abs=0.03)
    assert float(diagonal_share(pattern)) == pytest.approx(diagonal, abs=0.03)


def test_shares_of_noise_do_not_depend_on_the_filters_size() -> None:
    for side in (7, 11):
        noise = torch.randn(400, 3, side, side, generator=torch.Generator().manual_seed(0))
        assert float(high_share(noise).mean()) == pytest.approx(NOISE_HIGH, abs=0.003)
        assert float(diagonal_share(noise).mean()) == pytest.approx(NOISE_DIAGONAL, abs=0.003)
    assert number_table([]).note.endswith(f"white noise has {percent(NOISE_HIGH, 0)}.")


def test_shares_equal_the_slow_transform() -> None:
    pattern = torch.randn(2, 5, 4, generator=torch.Generator().manual_seed(1)).double()
    energy, high, diagonal = 0.0, 0.0, 0.0
    for down in range(64):
        for across in range(64):
            turn = torch.tensor([[(down * r + across * c) / 64 for c in range(4)] for r in range(5)])
            size = float((pattern * torch.exp(-2j * math.pi * turn)).sum((1, 2)).abs().square().sum())
            ways = (min(down, 64 - down) >= 16, min(across, 64 - across) >= 16)
            energy += size
            high += size * any(ways)
            diagonal += size * all(ways)
    assert float(high_share(pattern[None])) == pytest.approx(high / energy, rel=1e-6)
    assert float(diagonal_share(pattern[None])) == pytest.approx(diagonal / energy, rel=1e-6)


def test_the_table_of_a_chain() -> None:
    """Six filters of which one is a chessboard twice as strong as the flat others."""
    chain = like_zfnet()
    weights = chain.get_parameter("conv1.weight")
    rows, cols = torch.meshgrid(*(torch.arange(side) for side in weights.shape[2:]), indexing="ij")
    weights.fill_(0.5)
    weights[3] = 1.0 - 2 * ((rows + cols) % 2)
    found = first_layer(chain)
    assert (found.filters, found.dominance) == (6, 2)
    assert found.high == pytest.approx(float(high_share(weights).mean()))
    assert found.diagonal == pytest.approx(float(diagonal_share(weights).mean()))
    cells = {row[0]: row[1:] for row in first_layer_table(found).rows}
    assert cells["filters"][0] == "6"
    assert cells["largest over the median one"][0] == "2.00"
    assert cells["energy at high frequencies, across or down"] == (percent(found.high), percent(NOISE_HIGH, 0))
    assert cells["energy at high frequencies, across and down"] == (percent(found.diagonal), percent(NOISE_DIAGONAL, 0))


def test_filters_that_are_zero_have_no_part_in_the_median() -> None:
    """A net of which most filters were pruned: its numbers are numbers, also in JSON."""
    chain = like_zfnet()
    filters = chain.get_parameter("conv1.weight")
    filters[:5] = 0
    assert first_layer(chain).dominance == 1
    filters[5] = 0
    assert (first_layer(chain).largest, first_layer(chain).dominance) == (0, 0)
