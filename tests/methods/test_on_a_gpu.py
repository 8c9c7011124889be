"""What the methods do on a GPU, with tensors that have a device and no values.

An operation on tensors of two devices is an error there as on a real card, and so is one that waits for a value:
neither is in the way of an occlusion map, however many batches it takes, or of a projection.
"""

from collections.abc import Iterator

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode

from zfnet_explainer.methods.deconvnet import down
from zfnet_explainer.methods.incremental.occluder import Occluder
from zfnet_explainer.methods.squares import Squares, squares
from zfnet_explainer.net.chain import Chain

from ..chains import SMALL

GPU = torch.device("cuda", 0)


@pytest.fixture
def chain(kind: str) -> Iterator[Chain]:
    """One on the card, and from then on tensors without values."""
    chain = SMALL[kind](0)
    with FakeTensorMode():
        for module in chain.modules():
            for name, weight in module.named_parameters(recurse=False):
                setattr(module, name, nn.Parameter(torch.ones(weight.shape, device=GPU), requires_grad=False))
            for name, buffer in module.named_buffers(recurse=False):
                setattr(module, name, torch.ones(buffer.shape, device=GPU))
        yield chain


def test_two_devices_and_a_value_are_errors_here() -> None:
    """Or the other tests could not fail."""
    with FakeTensorMode():
        there, here = torch.ones(3, device=GPU), torch.ones(3)
        with pytest.raises(RuntimeError, match="devices"):
            there @ here
        with pytest.raises(DataDependentOutputException):
            float(there.sum())


@pytest.mark.parametrize("memory", [None, 1], ids=["many at a time", "one at a time"])
@pytest.mark.parametrize("kind", SMALL)
def test_an_occlusion_map_stays_there_and_waits_for_nothing(chain: Chain, memory: int | None) -> None:
    _, height, width = chain.input_size
    side = height // 6
    few = Squares(side, side, (0, side, height - side), (0, width - side))
    grid = squares(height, width, side, 2) if memory is None else few
    image, fill = (torch.ones(chain.input_size, device=GPU) for _ in range(2))
    clean = chain.run(image[None])
    found = Occluder(chain, memory)(image, clean, fill, grid, chain.features[-1], 0)
    assert found.logits.device == found.feature_activity.device == GPU
    assert found.logits.shape == (len(grid.tops), len(grid.lefts), chain.classes)


@pytest.mark.parametrize("kind", SMALL)
def test_projections_stay_there_and_wait_for_nothing(chain: Chain) -> None:
    switches = chain.run(torch.ones(1, *chain.input_size, device=GPU)).switches
    found = down(chain, switches, chain.features[-1], [(0, 0, 0), (1, 1, 1)], torch.ones(2, device=GPU))
    assert found.device == GPU
    assert found.shape == (2, *chain.input_size)
