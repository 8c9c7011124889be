"""What the methods do on a GPU, with tensors that have a device and no values.

An operation on tensors of two devices is an error there as on a real card, and so is one that waits for a value:
neither is in the way of an occlusion map, however many batches it takes, or of a projection.
"""

from collections.abc import Iterator

import pytest
import torch
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode

from zfnet_explainer.methods.deconvnet import down
from zfnet_explainer.methods.incremental import occluder as occluders
from zfnet_explainer.methods.incremental import plan as plans
from zfnet_explainer.methods.incremental.occluder import Occluder
from zfnet_explainer.methods.incremental.plan import Way
from zfnet_explainer.methods.occlusion import occlude_full
from zfnet_explainer.methods.squares import Squares, spread, squares
from zfnet_explainer.net.chain import Chain

from ..chains import SMALL
from ..gpu.fakes import GPU, on_a_card, ones


@pytest.fixture
def chain(kind: str) -> Iterator[Chain]:
    with on_a_card(SMALL[kind](0)) as chain:
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
    image, fill = ones(*chain.input_size), ones(*chain.input_size)
    clean = chain.run(image[None])
    found = Occluder(chain, memory)(image, clean, fill, grid, chain.features[-1], 0)
    assert found.logits.device == found.feature_activity.device == GPU
    assert found.logits.shape == (len(grid.tops), len(grid.lefts), chain.classes)


@pytest.mark.parametrize("kind", ["like_zfnet"])
@pytest.mark.parametrize("way", Way)
def test_every_way_does_too(chain: Chain, way: Way, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plans, "GROUP_SIZE", 1)
    monkeypatch.setattr(occluders, "SHARE", 2)
    image, grid, occluder = ones(*chain.input_size), squares(*chain.input_size[1:], 6, 6), Occluder(chain)
    occluder.way = way
    assert occluder.way_for(grid) is way
    found = occluder(image, chain.run(image[None]), image, grid, chain.features[-1], 0)
    assert found.logits.device == GPU


@pytest.mark.parametrize("kind", SMALL)
def test_projections_stay_there_and_wait_for_nothing(chain: Chain) -> None:
    switches = chain.run(ones(1, *chain.input_size)).switches
    found = down(chain, switches, chain.features[-1], [(0, 0, 0), (1, 1, 1)], ones(2))
    assert found.device == GPU
    assert found.shape == (2, *chain.input_size)


@pytest.mark.parametrize("kind", ["thin"])
@pytest.mark.parametrize("window", [2, 7, 20])
def test_other_windows_do_too(chain: Chain, window: int) -> None:
    _, height, width = chain.input_size
    image, clean = ones(*chain.input_size), chain.run(ones(1, *chain.input_size))
    grid = squares(height, width, window, window)
    found = Occluder(chain)(image, clean, ones(*chain.input_size), grid, chain.features[-1], 0)
    assert found.logits.device == GPU


@pytest.mark.parametrize("kind", ["thin"])
def test_every_square_in_full_does_too(chain: Chain) -> None:
    image, fill, grid = ones(*chain.input_size), ones(*chain.input_size), squares(21, 26, 9, 4)
    assert occlude_full(chain, image, fill, grid, chain.features[-1], 0, 8).logits.device == GPU


def test_the_spread_of_squares_over_pixels_does_too() -> None:
    with FakeTensorMode():
        grid = squares(21, 26, 9, 4)
        found = spread(grid, ones(len(grid.tops), len(grid.lefts)), 21, 26)
        assert (found.device, found.shape) == (GPU, (21, 26))
