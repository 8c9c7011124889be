"""Shuffled layers: what must stay, what must change, and that the net itself is left alone."""

import copy

import pytest
import torch
from torch import Tensor

from zfnet_explainer.net.chain import Chain
from zfnet_explainer.net.checkpoint import Preprocessing
from zfnet_explainer.studies.faithfulness.randomisation import Stage, randomisation, shuffle, weighted_layers

from ...chains import like_zfnet, thin

SIDE = 64
PREPROCESSING = Preprocessing(SIDE, (0.5,) * 3, (0.25,) * 3)


def pictures() -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return list(torch.randint(256, (4, 3, SIDE, SIDE), generator=generator, dtype=torch.uint8))


@pytest.fixture(scope="module")
def chain() -> Chain:
    return like_zfnet(size=(3, SIDE, SIDE))


@pytest.fixture(scope="module")
def stages(chain: Chain) -> tuple[Stage, ...]:
    return randomisation(chain, PREPROCESSING, pictures(), seed=0)


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


def test_the_net_keeps_its_weights(chain: Chain) -> None:
    before = {key: value.clone() for key, value in chain.state_dict().items()}
    randomisation(chain, PREPROCESSING, pictures()[:2], seed=0)
    assert all(torch.equal(value, before[key]) for key, value in chain.state_dict().items())


def test_progress_and_seed(chain: Chain) -> None:
    told: list[int] = []
    first = means(randomisation(chain, PREPROCESSING, pictures()[:2], 0, told.append))
    assert sum(told) == 5 * 2
    assert means(randomisation(chain, PREPROCESSING, pictures()[:2], 0)) == pytest.approx(first, abs=1e-4)
    assert means(randomisation(chain, PREPROCESSING, pictures()[:2], 1)) != pytest.approx(first, abs=1e-2)


def means(stages: tuple[Stage, ...]) -> list[float]:
    return [e.mean for one in stages for e in (one.projection, one.projection_ranks, one.occlusion_ranks)]


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
