"""What a server is busy with: when nothing moves any more, and when nobody has asked for a while."""

from collections.abc import Iterable
from itertools import chain, repeat
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import httpx
import pytest
import yaml

from zfnet_explainer.torchserve import drain
from zfnet_explainer.torchserve.activity import IN_PROGRESS, Activity, activity
from zfnet_explainer.torchserve.archive import CONFIG_TEMPLATE
from zfnet_explainer.torchserve.errors import ServingError
from zfnet_explainer.torchserve.management import NotHealthy
from zfnet_explainer.torchserve.run_folder import RunFolder
from zfnet_explainer.torchserve.server import READY_TIMEOUT_S, RunningServer


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


def test_a_worker_that_was_scaled_away_has_nothing_in_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """TorchServe gives its request to another, and keeps its series."""
    metrics = "".join(f'{IN_PROGRESS}{{worker="{n}",Hostname="a",}} {v}.0\n' for n, v in ((9000, 1), (9001, 2)))
    model = {"workers": [{"id": "9001"}], "jobQueueStatus": {"pendingRequests": 3}}
    answer = httpx.Response(200, text=metrics, request=httpx.Request("GET", "http://a"))
    monkeypatch.setattr("zfnet_explainer.torchserve.activity.model_now", lambda _: model)
    monkeypatch.setattr(httpx, "get", lambda *_, **__: answer)
    assert activity(Mock(spec=RunningServer, folder=None, metrics_url="http://a")) == Activity(3, 2, 0, 0)


def test_a_worker_has_the_time_to_start_that_torchserve_gives_it() -> None:
    """Else a server ends, or never comes to be, under a worker that would have been there in a moment."""
    allowed = yaml.safe_load(CONFIG_TEMPLATE.read_text())["startupTimeout"]
    assert allowed <= drain.UNWELL_S == 120, "the two minutes of the runbook"
    assert allowed < READY_TIMEOUT_S == 180
    assert 2 * drain.ASK_S < drain.UNWELL_S


ONE, TWO, IN_HAND = Activity(0, 0, 1, 1), Activity(0, 0, 2, 2), Activity(0, 1, 2, 1)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What time it is, by a clock that only waiting moves."""
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    monkeypatch.setattr(drain, "POLL_S", 0.25)
    monkeypatch.setattr(drain, "time", SimpleNamespace(monotonic=lambda: now[0], sleep=sleep))
    return now


def drained(monkeypatch: pytest.MonkeyPatch, told: Iterable[Activity | Exception], drain_seconds: float) -> None:
    """Drain a server that tells this, a second of quiet being enough."""
    monkeypatch.setattr(drain, "activity", Mock(side_effect=told))
    server = Mock(spec=RunningServer, folder=RunFolder(Path("/run")))
    drain._drain(server, settle_seconds=1, drain_seconds=drain_seconds, watch=Mock())


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
    told: list[Activity | Exception], settled_at: float, monkeypatch: pytest.MonkeyPatch, clock: list[float]
) -> None:
    """The server is asked every quarter of a second."""
    drained(monkeypatch, chain(told, repeat(TWO)), drain_seconds=30)
    assert clock == [settled_at]


@pytest.mark.parametrize(
    ("told", "drain_seconds", "said"),
    [
        ([NotHealthy("busy")], 2, "does not tell 2 s after SIGTERM whether every request was answered"),
        ([TWO, TWO, httpx.ReadTimeout("busy")], 2, "does not tell 2 s after SIGTERM"),
        ([NotHealthy("busy"), IN_HAND], 2, "1 requests were not answered within 2 s of SIGTERM"),
        ([IN_HAND], 0, "1 requests were not answered within 0 s of SIGTERM"),
    ],
    ids=["it never tells", "it does not tell any more", "one is in hand", "one is in hand, and no time"],
)
def test_not_drained_in_time_is_an_error(
    told: list[Activity | Exception],
    drain_seconds: float,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    clock: list[float],
) -> None:
    with pytest.raises(ServingError, match=said):
        drained(monkeypatch, chain(told, repeat(told[-1])), drain_seconds)
    assert clock == [drain_seconds]
