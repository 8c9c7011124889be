"""The way that a worker on a GPU chooses, on a CPU whose clock says what it is told."""

import logging
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch

from zfnet_explainer.explainer import Explainer
from zfnet_explainer.explanation import Occlusion
from zfnet_explainer.methods.incremental import autotune as tuning
from zfnet_explainer.methods.incremental import by_precision
from zfnet_explainer.methods.incremental import occluder as occluders
from zfnet_explainer.methods.incremental import plan as plans
from zfnet_explainer.methods.incremental.occluder import Occluder
from zfnet_explainer.methods.incremental.plan import Way
from zfnet_explainer.methods.occlusion import OcclusionMaps, occlude_full
from zfnet_explainer.methods.squares import Squares, squares
from zfnet_explainer.net.chain import Chain
from zfnet_explainer.net.checkpoint import Checkpoint

from ...chains import SMALL, like_zfnet, picture
from ...explained import OPTIONS, SIDE, record
from ...samples import noise

CPU = torch.device("cpu")


def clock(occluder: Occluder, **times: float) -> Callable[[Callable[[], object]], float]:
    """Works are done, and are said to have taken these seconds by the occluder's way, and more in a busy moment.

    It comes first and lasts as long as a round, so that a way which is timed once, or by itself, seems slow.
    """
    busy = [50] * len(times)

    def seconds(work: Callable[[], object]) -> float:
        work()
        taken = times[occluder.way]
        return taken * busy.pop() if busy else taken

    return seconds


@pytest.fixture
def occluder(monkeypatch: pytest.MonkeyPatch) -> Occluder:
    """Of a small net whose pictures are grouped as large ones are."""
    monkeypatch.setattr(tuning, "WINDOW", 6)
    monkeypatch.setattr(tuning, "STRIDE", 2)
    monkeypatch.setattr(plans, "GROUP_SIZE", 1)
    monkeypatch.setattr(occluders, "SHARE", 2)
    return Occluder(SMALL["like_zfnet"](0))


def grid_of(occluder: Occluder) -> Squares:
    return squares(*occluder.chain.input_size[1:], 6, 2)


@pytest.mark.parametrize("quickest", Way)
def test_the_quickest_is_taken_and_the_figures_are_logged(
    quickest: Way, occluder: Occluder, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    times = dict.fromkeys(Way, 0.003) | {quickest: 0.002}
    assert tuning.choose(occluder, clock(occluder, **times)) == times
    assert occluder.way is quickest
    assert occluder.way_for(grid_of(occluder)) is quickest
    [line] = caplog.messages
    assert "float32, window 6, stride 2" in line
    assert f"{quickest} 2.00 ms" in line
    assert line.count("3.00 ms") == 2
    assert line.endswith(f"taken: {quickest}")


@pytest.mark.parametrize(
    ("times", "taken"), [((1.14, 1.1, 1.0), Way.FULL), ((1.2, 1.1, 1.0), Way.ONE_GROUP), ((1.2, 1.2, 1.0), Way.GROUPS)]
)
def test_of_ways_about_as_quick_all_workers_take_the_same(
    times: tuple[float, ...], taken: Way, occluder: Occluder
) -> None:
    tuning.choose(occluder, clock(occluder, **dict(zip(Way, times, strict=True))))
    assert occluder.way is taken


def test_where_every_way_is_in_full_none_is_chosen(caplog: pytest.LogCaptureFixture) -> None:
    """The squares that are asked for most change nearly all of a small picture; smaller ones do not."""
    caplog.set_level(logging.INFO)
    occluder = Occluder(like_zfnet(size=(3, SIDE, SIDE)))
    assert tuning.choose(occluder, clock(occluder, full=1, one_group=2, groups=2)) == {}
    assert occluder.way is Way.GROUPS
    [line] = caplog.messages
    assert line == "occlusion maps in float32, window 32, stride 8: all in full; not timed, kept: groups"


@pytest.mark.parametrize("way", Way)
def test_what_is_timed_for_zfnet_goes_every_way(way: Way, random_zfnet: Chain) -> None:
    occluder = Occluder(random_zfnet)
    occluder.way = way
    assert occluder.way_for(squares(224, 224, tuning.WINDOW, tuning.STRIDE)) is way


def test_groups_that_are_one_are_timed_once(occluder: Occluder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plans, "GROUP_SIZE", 10_000)
    times = tuning.choose(occluder, clock(occluder, full=3, one_group=1))
    assert times == {Way.FULL: 3, Way.ONE_GROUP: 1}
    assert occluder.way is Way.ONE_GROUP


@pytest.mark.parametrize("way", Way)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_every_way_gives_the_map(way: Way, dtype: torch.dtype, occluder: Occluder) -> None:
    chain = occluder.chain.to(dtype)
    there = Occluder(chain)
    there.way = way
    image, fill = picture(chain, 1).to(dtype), picture(chain, 2).to(dtype)
    grid = grid_of(there)
    found = there(image, chain.run(image[None]), fill, grid, chain.features[-1], 1)
    expected = occlude_full(chain, image, fill, grid, chain.features[-1], 1)
    apart = float((found.logits - expected.logits).abs().max() / expected.logits.abs().max())
    assert apart <= tuning.LIMITS[dtype]


@pytest.mark.parametrize(("factor", "off"), [(1.001, "1.0e-03"), (math.nan, "nan")])
def test_a_way_that_is_wrong_is_not_taken(
    factor: float, off: str, occluder: Occluder, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What is recomputed in one group is off by a thousandth there, or no number."""
    right = Occluder.__call__

    def wrong(self: Occluder, *asked: object) -> OcclusionMaps:
        found: OcclusionMaps = right(self, *asked)  # type: ignore[arg-type]
        return OcclusionMaps(found.logits * factor, found.feature_activity) if self.way is Way.ONE_GROUP else found

    monkeypatch.setattr(Occluder, "__call__", wrong)
    tuning.choose(occluder, clock(occluder, full=3, one_group=1, groups=2))
    assert occluder.way is Way.GROUPS
    [error] = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert f"one_group are off by {off}" in error.message


def test_a_processor_keeps_its_way(random_zfnet: Chain) -> None:
    occluder = Occluder(random_zfnet)
    assert tuning.autotune(occluder) == {}
    assert occluder.way is Way.GROUPS


@pytest.mark.parametrize(
    ("window", "stride", "way"), [(32, 8, Way.GROUPS), (32, 32, Way.ONE_GROUP), (200, 8, Way.FULL)]
)
def test_the_way_of_a_grid_is_the_one_it_goes(window: int, stride: int, way: Way, random_zfnet: Chain) -> None:
    """Few squares are one group, and large ones are evaluated in full, whatever has been chosen."""
    assert Occluder(random_zfnet).way_for(squares(224, 224, window, stride)) is way


def test_the_first_map_chooses_and_the_answer_says_what(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody has warmed it up. A stand-in chooses what a card might."""

    def full(occluder: Occluder) -> None:
        occluder.way = Way.FULL

    monkeypatch.setattr(occluders, "SHARE", 2)
    before = found()
    monkeypatch.setattr(by_precision, "autotune", full)
    after = found()
    assert (before.way, after.way) == (Way.ONE_GROUP, Way.FULL)
    np.testing.assert_allclose(after.logits, before.logits, rtol=1e-4, atol=1e-5)


def found() -> Occlusion:
    """By an explainer that has answered nothing yet."""
    explainer = Explainer(Checkpoint(like_zfnet(size=(3, SIDE, SIDE)), record(5, SIDE)), CPU)
    occlusion = explainer.explain(noise(SIDE, SIDE).copy(), OPTIONS).occlusion
    assert occlusion is not None
    return occlusion
