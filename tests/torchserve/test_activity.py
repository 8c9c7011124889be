"""What a server is busy with: when nothing moves any more, and when nobody has asked for a while."""

from itertools import chain, repeat
from types import SimpleNamespace
from unittest.mock import Mock

import pytest

from zfnet_explainer.torchserve import drain
from zfnet_explainer.torchserve.activity import Activity
from zfnet_explainer.torchserve.management import NotHealthy
from zfnet_explainer.torchserve.server import RunningServer


@pytest.mark.parametrize(
    ("now", "stalled"),
    [
        (Activity(2, 0, 9, 5), True),
        (Activity(2, 1, 9, 5), False),
        (Activity(0, 0, 9, 5), False),
        (Activity(2, 0, 9, 6), False),
    ],
    ids=["as before", "one is in hand", "none waits", "one was answered"],
)
def test_stalled(now: Activity, stalled: bool) -> None:
    assert now.stalled_since(Activity(1, 0, 6, 5)) is stalled
    assert not now.stalled_since(Activity(0, 0, 6, 5)), "they have come since"
    assert not Activity(2, 0, 9, 0).stalled_since(Activity(1, 0, 6, 0)), "a handler that does not count"


ONE, TWO, IN_HAND = Activity(0, 0, 1, 1), Activity(0, 0, 2, 2), Activity(0, 1, 2, 1)


@pytest.mark.parametrize(
    ("told", "settled_at"),
    [
        ([TWO], 1.0),
        ([ONE, TWO], 1.25),
        ([ONE, TWO, TWO, NotHealthy("busy")], 1.75),
        ([ONE, IN_HAND, IN_HAND], 1.5),
    ],
    ids=["nobody asks", "one more asks", "it cannot tell", "one is in hand"],
)
def test_settled_is_a_second_in_which_nobody_has_asked(
    told: list[Activity | NotHealthy], settled_at: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server is asked every quarter of a second, by a clock that only waiting moves."""
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    monkeypatch.setattr(drain, "POLL_S", 0.25)
    monkeypatch.setattr(drain, "time", SimpleNamespace(monotonic=lambda: now[0], sleep=sleep))
    monkeypatch.setattr(drain, "activity", Mock(side_effect=chain(told, repeat(TWO))))
    drain._drain(Mock(spec=RunningServer), settle_seconds=1, drain_seconds=30, watch=Mock())
    assert now == [settled_at]
