"""Shuffled layers: what must stay, what must change, and that the net itself is left alone."""

import copy
from itertools import product
from statistics import fmean

import pytest
import torch
from scipy.stats import rankdata
from torch import Tensor

from zfnet_explainer.methods.deconvnet import down
from zfnet_explainer.net.chain import Chain
from zfnet_explainer.net.record import Preprocessing
from zfnet_explainer.studies.faithfulness.randomisation import Stage, randomisation, shuffle, weighted_layers
from zfnet_explainer.studies.faithfulness.subject import subject

from ...chains import like_zfnet, plain, thin

SIDE = 64


def preprocessing(side: int) -> Preprocessing:
    return Preprocessing(side, (0.5,) * 3, (0.25,) * 3)


PREPROCESSING = preprocessing(SIDE)


def pictures() -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return list(torch.randint(256, (4, 3, SIDE, SIDE), generator=generator, dtype=torch.uint8))


def unheard(_: int) -> None:
    """Progress that nobody follows."""


@pytest.fixture(scope="module")
def chain() -> Chain:
    return like_zfnet(size=(3, SIDE, SIDE))


@pytest.fixture(scope="module")
def stages(chain: Chain) -> tuple[Stage, ...]:
    return randomisation(chain, PREPROCESSING, pictures(), 0, unheard)


def test_layers_go_from_the_classes_to_the_pixels(stages: tuple[Stage, ...]) -> None:
    assert [stage.layer for stage in stages] == ["fc2", "fc1", "conv3", "conv2", "conv1"]


def test_projections_do_not_know_the_dense_layers(stages: tuple[Stage, ...]) -> None:
    for stage in stages[:2]:
        assert stage.projection.low == pytest.approx(1)
        assert stage.projection_ranks.low == pytest.approx(1)
        assert stage.occlusion_ranks.mean < 0.9


def test_projections_change_with_the_convolutions(stages: tuple[Stage, ...]) -> None:
    assert all(stage.projection.high < 0.999 for stage in stages[2:])
    assert abs(stages[-1].projection.mean) < 0.5


def test_projections_are_compared_signed_and_by_the_rank_of_their_sizes(
    chain: Chain, stages: tuple[Stage, ...]
) -> None:
    """Those of one cell, down both nets."""
    shuffled, generator = copy.deepcopy(chain), torch.Generator().manual_seed(0)
    for name in ("fc2", "fc1", "conv3"):
        shuffle(shuffled, name, generator)
    signed, ranked = [], []
    for pixels in pictures():
        one = subject(chain, PREPROCESSING, pixels)
        cell, box = (one.feature.feature, *one.feature.position), one.feature.receptive_field
        found = []
        for net in (chain, shuffled):
            projection = down(net, net.run(one.image[None]).switches, "relu3", [cell], torch.ones(1))[0]
            found.append(projection[:, box.top : box.bottom, box.left : box.right].double())
        signed.append(pearson(*found))
        ranked.append(pearson(*(ranks(values.square().sum(0)) for values in found)))
    assert stages[2].projection.mean == pytest.approx(fmean(signed), abs=1e-4)
    assert stages[2].projection_ranks.mean == pytest.approx(fmean(ranked), abs=1e-4)


def ranks(values: Tensor) -> Tensor:
    """Each value's place among all, equal ones at their mean."""
    return torch.from_numpy(rankdata(values.flatten()))


def pearson(ours: Tensor, theirs: Tensor) -> float:
    return float(torch.corrcoef(torch.stack([ours.flatten(), theirs.flatten()]))[0, 1])


def test_occlusion_maps_are_compared_by_rank_for_the_trained_nets_class() -> None:
    """Against squares painted by hand: 49 cells of 9 x 9, as wide as the map's squares."""
    chain, side = like_zfnet(size=(3, 63, 63)), 63
    some = [pixels[:, :side, :side] for pixels in pictures()[:2]]
    generator = torch.Generator().manual_seed(0)
    without_classes, without_hidden = copy.deepcopy(chain), copy.deepcopy(chain)
    shuffle(without_classes, "fc2", generator)
    shuffle(without_hidden, "fc1", generator)  # and no other layer
    expected: list[tuple[float, ...]] = []
    classes = []
    for pixels in some:
        painted = pixels.repeat(50, 1, 1, 1)  # the first one stays as it is
        for one, (row, col) in zip(painted[1:], product(range(0, side, 9), repeat=2), strict=True):
            one[:, row : row + 9, col : col + 9] = 128
        x = preprocessing(side).standardise(painted)
        found = [plain(net)(x).softmax(1) for net in (chain, without_classes, without_hidden)]
        target = int(found[0][0].argmax())
        classes.append((target, int(found[1][0].argmax())))
        trained, *shuffled = (ranks((one[0] - one[1:])[:, target]) for one in found)
        expected.append(tuple(pearson(trained, one) for one in shuffled))
    assert any(own != theirs for own, theirs in classes)
    first, second, *_ = randomisation(chain, preprocessing(side), some, 0, unheard)
    assert (first.layer, second.layer) == ("fc2", "fc1")
    assert first.occlusion_ranks.mean == pytest.approx(fmean(one for one, _ in expected), abs=1e-3)
    assert first.occlusion_ranks_alone == first.occlusion_ranks, "nothing is above the classes"
    assert second.occlusion_ranks_alone.mean == pytest.approx(fmean(one for _, one in expected), abs=1e-3)


def test_the_net_keeps_its_weights(chain: Chain) -> None:
    before = {key: value.clone() for key, value in chain.state_dict().items()}
    randomisation(chain, PREPROCESSING, pictures()[:2], 0, unheard)
    assert all(torch.equal(value, before[key]) for key, value in chain.state_dict().items())


def test_progress_and_seed(chain: Chain) -> None:
    told: list[int] = []
    first = means(randomisation(chain, PREPROCESSING, pictures()[:2], 0, told.append))
    assert sum(told) == 5 * 2
    assert means(randomisation(chain, PREPROCESSING, pictures()[:2], 0, unheard)) == pytest.approx(first, abs=1e-4)
    assert means(randomisation(chain, PREPROCESSING, pictures()[:2], 1, unheard)) != pytest.approx(first, abs=1e-2)


def means(stages: tuple[Stage, ...]) -> list[float]:
    measured = ((s.projection, s.projection_ranks, s.occlusion_ranks, s.occlusion_ranks_alone) for s in stages)
    return [estimate.mean for stage in measured for estimate in stage]


def test_shuffling_moves_the_weights_of_one_layer(chain: Chain) -> None:
    shuffled = copy.deepcopy(chain)
    shuffle(shuffled, "conv2", torch.Generator().manual_seed(0))
    for name, value in shuffled.named_parameters():
        before = chain.get_parameter(name)
        assert torch.equal(value.flatten().sort().values, before.flatten().sort().values), name
        assert torch.equal(value, before) == (not name.startswith("conv2")), name
    assert weighted_layers(chain) == ["conv1", "conv2", "conv3", "fc1", "fc2"]


def test_every_layer_that_learnt_is_shuffled() -> None:
    assert weighted_layers(thin()) == ["conv1", "conv2", "fc1", "fc2"]
