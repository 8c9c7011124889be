"""What a map loses under cover, against painting and counting by hand."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from zfnet_explainer.net.chain import Chain
from zfnet_explainer.net.record import Preprocessing
from zfnet_explainer.studies.faithfulness.covering import MIDDLE, MOVED, OWN, Fall, falls, mean_falls
from zfnet_explainer.studies.faithfulness.subject import filled, subject

from ...chains import like_zfnet, named, plain

PREPROCESSING = Preprocessing(40, (0.5,) * 3, (0.5,) * 3)


def noisy() -> Tensor:
    return torch.randint(256, (3, 40, 40), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


def smoothed(energy: Tensor) -> Tensor:
    """Mean over the 9 x 9 pixels around each one, as far as they are there."""
    rows, cols = energy.shape
    found = torch.zeros_like(energy)
    for row in range(rows):
        for col in range(cols):
            found[row, col] = energy[max(0, row - 4) : row + 5, max(0, col - 4) : col + 5].mean()
    return found


def test_its_own_region_by_hand() -> None:
    chain = like_zfnet(size=(3, 40, 40))
    one = subject(chain, PREPROCESSING, noisy())
    fill = filled(one, PREPROCESSING, "gray", 8)
    box = one.feature.receptive_field
    energy = one.feature.projection.square().sum(0)[box.top : box.bottom, box.left : box.right]
    cells = smoothed(energy).flatten().argsort(descending=True)[: round(energy.numel() / 10)]
    image = one.image.clone()
    for cell in cells.tolist():
        row, col = divmod(cell, energy.shape[1])
        image[:, box.top + row, box.left + col] = fill[:, box.top + row, box.left + col]
    layers = plain(chain)[: [name for name, _ in chain.named_children()].index(chain.features[-1]) + 1]
    before, after = (layers(x[None])[0, one.feature.feature] for x in (one.image, image))
    place = one.feature.position
    expected = [1 - float(after[place] / before[place]), 1 - float(after.max() / before.max())]
    expected.append(1 - float(after.sum() / before.sum()))
    found = falls(chain, one, fill, torch.Generator().manual_seed(0))[OWN]
    assert (found.at_cell, found.largest, found.total) == pytest.approx(expected, abs=1e-5)
    assert abs(expected[0]) > 0.01


def corner_net() -> Chain:
    """One map of one cell that sees the whole picture, and answers to its 12 x 12 top left pixels alone."""
    layers = (nn.Conv2d(3, 1, 40), nn.ReLU(), nn.Flatten(), nn.Linear(1, 2))
    net = Chain(named(*layers), (3, 40, 40)).requires_grad_(False).eval()
    weights = torch.zeros(1, 3, 40, 40)
    weights[..., :12, :12] = 1
    net.get_parameter("conv1.weight").copy_(weights)
    net.get_parameter("conv1.bias").zero_()
    return net


def test_a_map_that_answers_to_a_corner() -> None:
    chain = corner_net()
    pixels = torch.full((3, 40, 40), 255, dtype=torch.uint8)
    one = subject(chain, PREPROCESSING, pixels)
    found = falls(chain, one, filled(one, PREPROCESSING, "gray", 8), torch.Generator().manual_seed(0))
    assert found[OWN].total > 0.9, "160 pixels are a tenth: the corner has 144"
    assert found[OWN].at_cell == found[OWN].largest == found[OWN].total
    assert found[MIDDLE].total == 0
    assert found[MOVED].total < 0.6


def test_a_silent_map_has_nothing_to_lose() -> None:
    chain = corner_net()
    one = subject(chain, PREPROCESSING, torch.zeros(3, 40, 40, dtype=torch.uint8))
    assert one.feature.activation == 0
    found = falls(chain, one, filled(one, PREPROCESSING, "white", 8), torch.Generator().manual_seed(0))
    assert found[MIDDLE] == Fall(0, 0, 0)


def test_random_regions_are_as_large_and_drawn_by_the_seed() -> None:
    chain = like_zfnet(size=(3, 40, 40))
    one = subject(chain, PREPROCESSING, noisy())
    black = replace(one, image=torch.zeros_like(one.image))
    fill = torch.ones_like(one.image)
    covered: list[Tensor] = []
    handle = chain.layer("conv1").register_forward_pre_hook(lambda _, inputs: covered.extend(inputs[0]))
    try:
        mean = falls(chain, black, fill, torch.Generator().manual_seed(0))[MOVED]
    finally:
        handle.remove()
    assert len(covered) == 6
    assert len({int(picture[0].sum()) for picture in covered}) == 1
    field = (0, *one.feature.receptive_field.slices)
    own, *moved = (picture[field] for picture in (covered[0], *covered[2:]))
    height, width = own.shape
    moves = [
        (d, a) for m in moved for d in range(height) for a in range(width) if torch.equal(own.roll((d, a), (0, 1)), m)
    ]
    assert len(moves) == 4, "the same pattern"
    assert all(len({*steps}) > 2 for steps in zip(*moves, strict=True)), "moved down and across"
    layers = plain(chain)[: [name for name, _ in chain.named_children()].index(chain.features[-1]) + 1]
    before = one.clean.outputs[chain.features[-1]][0, one.feature.feature]
    lost = 1 - layers(torch.stack(covered[2:]))[:, one.feature.feature].sum((1, 2)) / before.sum()
    assert mean.total == pytest.approx(float(lost.mean()), abs=1e-5), "of all four moves"
    assert float(lost.std()) > 1e-3
    first, again, other = (falls(chain, one, fill, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1))
    assert first == again
    assert first[OWN] == other[OWN]
    assert first[MOVED] != other[MOVED]


def test_means_of_falls() -> None:
    found = mean_falls([{OWN: Fall(0.5, 0.2, 1.0)}, {OWN: Fall(0.7, -0.4, 1.0)}], seed=0)[OWN]
    assert (found.at_cell.mean, found.largest.mean, found.total.mean) == pytest.approx((0.6, -0.1, 1.0))
    assert (found.largest.low, found.largest.high) == pytest.approx((-0.4, 0.2))
