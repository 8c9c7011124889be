"""The net with its temperature folded in, against the probabilities that are served."""

import pytest
import torch
from torch import Tensor, nn

from zfnet_explainer.net.chain import Chain
from zfnet_explainer.net.probability import probabilities
from zfnet_explainer.net.thin import ThinLinear
from zfnet_explainer.studies.faithfulness.calibrated import calibrated

from ...chains import like_zfnet, named, picture, seeded


def thin_at_the_end() -> Chain:
    layers = nn.Conv2d(3, 2, 5), nn.ReLU(), nn.Flatten(), nn.Linear(2 * 8 * 10, 9), nn.ReLU(), ThinLinear(9, 4, 2)
    return seeded(Chain(named(*layers, nn.Dropout()), (3, 12, 14)), 0)


def without_a_bias() -> Chain:
    layers = nn.Conv2d(3, 2, 5), nn.ReLU(), nn.Flatten(), nn.Linear(2 * 8 * 10, 4, bias=False)
    return seeded(Chain(named(*layers), (3, 12, 14)), 0)


def parameters(chain: Chain) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in chain.named_parameters()}


@pytest.mark.parametrize("chain", [like_zfnet(), thin_at_the_end(), without_a_bias()])
@pytest.mark.parametrize("temperature", [0.7159, 1.0, 3.0])
def test_its_softmax_is_what_is_served(chain: Chain, temperature: float) -> None:
    before, x = parameters(chain), picture(chain)[None]
    found = calibrated(chain, temperature)
    assert torch.allclose(found(x).softmax(1), probabilities(chain(x), temperature), atol=1e-6)
    assert torch.allclose(found(x) * temperature, chain(x), atol=1e-5)
    after = parameters(chain)
    assert all(torch.equal(value, after[name]) for name, value in before.items()), "the net itself is left alone"
