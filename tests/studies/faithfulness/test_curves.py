"""Deletion and insertion of a net whose answer is known to depend on one region only."""

from itertools import product

import pytest
import torch
from torch import Tensor, nn

from zfnet_explainer.methods.incremental.occluder import Occluder
from zfnet_explainer.net.chain import Chain
from zfnet_explainer.net.record import Preprocessing
from zfnet_explainer.studies.faithfulness.curves import (
    CENTRE,
    MAP,
    PROJECTION,
    RANDOM,
    Curves,
    Protocol,
    area,
    faithfulness,
    picture_curves,
)
from zfnet_explainer.studies.faithfulness.subject import filled, occlusion_drop, subject

from ...chains import like_zfnet, named, plain

SIDE = 40
ROWS, COLS = slice(4, 12), slice(24, 36)  # the region, off the middle: 6 of the 100 cells of 4 x 4
CELLS = {10 * row + col for row in (1, 2) for col in (6, 7, 8)}
PROTOCOL = Protocol(window=8, stride=4, steps=10)
PREPROCESSING = Preprocessing(SIDE, (0.5,) * 3, (0.5,) * 3)


def region_net() -> Chain:
    """Class 1 where the region is brighter than grey; nothing outside it matters."""
    layers = (nn.Conv2d(3, 2, 1), nn.ReLU(), nn.Flatten(), nn.Linear(2 * SIDE**2, 2))
    net = Chain(named(*layers), (3, SIDE, SIDE)).requires_grad_(False).eval()
    for parameter in net.parameters():
        parameter.zero_()
    net.get_parameter("conv1.weight")[0] = 1 / 3
    weights = torch.zeros(2, SIDE, SIDE)
    weights[0, ROWS, COLS] = 8 / 96
    net.get_parameter("fc1.weight")[1] = weights.flatten()
    net.get_parameter("fc1.bias")[0] = 1
    return net


def bright() -> Tensor:
    """Light pixels with noise, uint8 [3, side, side]."""
    generator = torch.Generator().manual_seed(0)
    return torch.randint(200, 256, (3, SIDE, SIDE), generator=generator, dtype=torch.uint8)


def curves(chain: Chain, pixels: Tensor, seed: int) -> dict[str, Curves]:
    one = subject(chain, PREPROCESSING, pixels)
    fill = filled(one, PREPROCESSING, "gray", PROTOCOL.window)
    return picture_curves(Occluder(chain), one, fill, PROTOCOL, torch.Generator().manual_seed(seed))


def test_the_occlusion_map_finds_the_region_first() -> None:
    chain = region_net()
    one = subject(chain, PREPROCESSING, bright())
    assert one.target == 1
    fill = filled(one, PREPROCESSING, "gray", 8)
    drop = occlusion_drop(Occluder(chain), one.image, one.clean, fill, 1, 4, 4)
    found = {10 * (row // 4) + col // 4 for row, col in (drop > 1e-4).nonzero().tolist()}
    assert found == CELLS, "and squares outside it change nothing"


def test_the_orders_of_a_known_region() -> None:
    found = curves(region_net(), bright(), 0)
    areas = {name: (float(area(one.deletion)), float(area(one.insertion))) for name, one in found.items()}
    best = min(deletion for deletion, _ in areas.values()), max(insertion for _, insertion in areas.values())
    assert areas[MAP] == best
    # A step covers 10 cells, and the region has 6.
    assert float(found[MAP].deletion[1]) == pytest.approx(float(found[MAP].deletion[-1]), abs=1e-6)
    assert float(found[MAP].insertion[1]) == pytest.approx(float(found[MAP].insertion[-1]), abs=1e-6)
    assert areas[MAP][0] < areas[RANDOM][0] - 0.1
    assert areas[MAP][1] > areas[RANDOM][1] + 0.1
    assert areas[CENTRE][0] > areas[MAP][0] + 0.1
    assert found[CENTRE].deletion[1] == found[CENTRE].deletion[0], "the region is off the middle"


def test_a_projection_orders_the_cells_by_its_energy() -> None:
    """Its first step covers, or uncovers, the tenth of the cells in which its squares add up to the most."""
    chain = like_zfnet(size=(3, SIDE, SIDE))
    one = subject(chain, PREPROCESSING, bright())
    fill = filled(one, PREPROCESSING, "gray", PROTOCOL.window)
    cells = [(slice(row, row + 4), slice(col, col + 4)) for row, col in product(range(0, SIDE, 4), repeat=2)]
    cells.sort(key=lambda cell: -float(one.feature.projection[:, *cell].double().square().sum()))
    assert one.feature.projection[:, *cells[9]].any(), "no tie decides"
    covered, uncovered = one.image.clone(), fill.clone()
    for cell in cells[:10]:
        covered[:, *cell], uncovered[:, *cell] = fill[:, *cell], one.image[:, *cell]
    deletion, insertion = plain(chain)(torch.stack([covered, uncovered])).softmax(1)[:, one.target].tolist()
    found = curves(chain, bright(), 0)[PROJECTION]
    assert float(found.deletion[1]) == pytest.approx(deletion, abs=1e-6)
    assert float(found.insertion[1]) == pytest.approx(insertion, abs=1e-6)


def test_the_random_curves_are_the_mean_of_two_orders() -> None:
    """What was covered at each step is seen where it enters the net: of eight orders the random ones are the last."""
    chain = like_zfnet(size=(3, SIDE, SIDE))
    covered: list[Tensor] = []
    chain.layer("conv1").register_forward_pre_hook(lambda _, inputs: covered.extend(inputs[0]))
    found = curves(chain, bright(), 0)[RANDOM].deletion
    drawn = torch.stack(covered[-2 - 2 * 9 : -2])  # nine steps of each; the ends, which all orders share, come last
    target = subject(chain, PREPROCESSING, bright()).target
    first, second = plain(chain)(drawn).softmax(1)[:, target].view(2, 9)
    assert not torch.allclose(first, second, atol=1e-3)
    torch.testing.assert_close(found[1:-1], (first + second) / 2, rtol=0, atol=1e-5)


def test_all_curves_run_between_the_same_ends() -> None:
    chain = like_zfnet(size=(3, SIDE, SIDE))
    one = subject(chain, PREPROCESSING, bright())
    found = curves(chain, bright(), 0)
    assert list(found) == [MAP, PROJECTION, CENTRE, RANDOM]
    covered = chain(filled(one, PREPROCESSING, "gray", 8)[None]).softmax(1)[0, one.target]
    for curve in found.values():
        for first, last in ((curve.deletion[0], curve.deletion[-1]), (curve.insertion[-1], curve.insertion[0])):
            assert float(first) == pytest.approx(one.probability, abs=1e-6)
            assert float(last) == pytest.approx(float(covered), abs=1e-6)


def test_the_seed_draws_the_random_orders_alone() -> None:
    chain = like_zfnet(size=(3, SIDE, SIDE))
    first, again, other = (curves(chain, bright(), seed) for seed in (0, 0, 1))
    assert all(torch.equal(first[name].deletion, again[name].deletion) for name in first)
    assert not torch.equal(first[RANDOM].deletion, other[RANDOM].deletion)
    assert torch.equal(first[MAP].deletion, other[MAP].deletion)


def test_a_subject_is_explained_by_its_strongest_map() -> None:
    chain = like_zfnet(size=(3, SIDE, SIDE))
    one = subject(chain, PREPROCESSING, bright())
    maps = chain.run(one.image[None]).outputs[chain.features[-1]][0]
    assert one.feature.activation == float(maps.max())
    assert float(maps[one.feature.feature][one.feature.position]) == float(maps.max())
    probabilities = chain(one.image[None]).softmax(1)[0]
    assert one.target == int(probabilities.argmax())
    assert one.probability == pytest.approx(float(probabilities.max()))


def test_the_protocol_fits_pictures_of_every_size() -> None:
    assert Protocol.of(224) == Protocol(32, 16, 10)
    assert Protocol.of(227) == Protocol(32, 16, 10)
    assert Protocol.of(28) == Protocol(4, 2, 10)
    for size in range(1, 300):
        found = Protocol.of(size)
        assert 1 <= found.stride <= found.window <= size


def test_areas_and_differences_by_hand() -> None:
    def line(first: float, last: float) -> Curves:
        values = torch.tensor([first, (first + last) / 2, last])
        return Curves(values, values.flip(0))

    bent = Curves(torch.tensor([1.0, 0.0, 0.0]), torch.tensor([0.0, 1.0, 1.0]))
    others = {PROJECTION: line(1, 0), CENTRE: line(1, 0), RANDOM: line(1, 0.5)}
    found = faithfulness([{MAP: bent, **others}, {MAP: line(1, 1), **others}], seed=0)
    assert found.orders[MAP].deletion.mean == pytest.approx((0.25 + 1) / 2)
    assert found.orders[MAP].insertion.mean == pytest.approx((0.75 + 1) / 2)
    assert found.orders[MAP].deletion_curve == (1, 0.5, 0.5)
    assert found.orders[RANDOM].deletion.low == found.orders[RANDOM].deletion.high == pytest.approx(0.75)
    against_random, against_centre, _, last = found.differences
    assert (against_random.order, against_random.baseline) == (MAP, RANDOM)
    assert against_random.deletion.mean == pytest.approx((0.25 + 1) / 2 - 0.75)
    assert (against_random.deletion_better, against_random.insertion_better) == (0.5, 0.5)
    assert against_centre.insertion.mean == pytest.approx((0.75 + 1) / 2 - 0.5)
    assert against_centre.insertion_better == 1
    assert (last.order, last.baseline, last.deletion.mean, last.deletion_better) == (PROJECTION, CENTRE, 0, 0)


def test_a_fill_is_standardised() -> None:
    one = subject(like_zfnet(size=(3, SIDE, SIDE)), PREPROCESSING, bright())
    assert torch.allclose(filled(one, PREPROCESSING, "white", 8), torch.ones(3, SIDE, SIDE))
    blurred = filled(one, PREPROCESSING, "blur", 8)
    assert float(blurred.std()) < 0.5 * float(one.image.std())
    assert float(blurred.mean()) == pytest.approx(float(one.image.mean()), abs=0.02)
    uneven = Preprocessing(SIDE, (0.2, 0.5, 0.8), (0.1, 0.2, 0.3))
    assert float(filled(one, uneven, "mean", 8).abs().max()) < 0.02, "half a grey level, over the smallest deviation"
