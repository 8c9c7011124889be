"""Which server a request goes to, and to which it goes again where the first is gone."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest

from zfnet_explainer.torchserve.ports import LOOPBACK, free_ports

from ..needs import needs
from ..waiting import wait_for
from .gateway import EXPLAIN, PREDICT, Config, active_connections, running_gateway, without_budgets
from .upstream import Reply, running_upstream

LONG = b"a long one"
CROWD = 30  # requests under way at once


def forgetful(config: Config) -> None:
    """A server that cannot be reached is not left out for a while, so that request after request meets it."""
    without_budgets(config)
    for cluster in config["static_resources"]["clusters"]:
        cluster.pop("outlier_detection", None)


def waiting_if_long(done: Event) -> Callable[[bytes], Reply]:
    """What a server answers at once, but to the long request."""

    def answer(body: bytes) -> Reply:
        if body == LONG:
            done.wait()
        return Reply()

    return answer


@needs("envoy")
@pytest.mark.parametrize("path", [PREDICT, EXPLAIN])
def test_the_server_that_answers_is_found_beside_one_that_has_no_requests(tmp_path: Path, path: str) -> None:
    """The gateway prefers the server with fewer requests, and the one that is gone never has any."""
    done = Event()
    [gone] = free_ports(1)
    with running_upstream() as busy, ThreadPoolExecutor() as threads:
        busy.reply = waiting_if_long(done)
        addresses = [f"{LOOPBACK}:{gone}", busy.address]
        with (
            running_gateway(tmp_path, dict.fromkeys(("predict", "explain"), addresses), forgetful) as gateway,
            gateway.client() as alice,
        ):
            held = threads.submit(alice.post, path, content=LONG)
            try:
                wait_for(lambda: [one.body for one in busy.seen] == [LONG], "the long request does not arrive")
                statuses = [alice.post(path, content=b"picture").status_code for _ in range(300)]
            finally:
                done.set()
            assert held.result().status_code == 200
    assert statuses == [200] * 300


@needs("envoy")
@pytest.mark.parametrize("path", [PREDICT, EXPLAIN])
def test_all_that_a_server_leaves_behind_is_answered_by_another(tmp_path: Path, path: str) -> None:
    """A retry has a place of its own until it is answered, and an explanation takes long."""
    [gone] = free_ports(1)
    with running_upstream() as busy, ThreadPoolExecutor(CROWD) as threads:
        addresses = [f"{LOOPBACK}:{gone}", busy.address]
        with (
            running_gateway(tmp_path, dict.fromkeys(("predict", "explain"), addresses), forgetful) as gateway,
            gateway.client() as alice,
        ):
            with busy.held():
                asked = [threads.submit(alice.post, path, content=b"picture") for _ in range(CROWD)]
                wait_for(lambda: len(busy.seen) + sum(one.done() for one in asked) == CROWD, "some do not arrive")
            assert [one.result().status_code for one in asked] == [200] * CROWD


@needs("envoy")
def test_an_explanation_seldom_waits_beside_an_idle_server(tmp_path: Path) -> None:
    done = Event()
    with running_upstream() as one, running_upstream() as other, ThreadPoolExecutor() as threads:
        one.reply = other.reply = waiting_if_long(done)
        addresses = [one.address, other.address]
        with (
            running_gateway(tmp_path, dict.fromkeys(("predict", "explain"), addresses), without_budgets) as gateway,
            gateway.client() as alice,
        ):
            held = threads.submit(alice.post, EXPLAIN, content=LONG)
            try:
                wait_for(lambda: len(one.seen + other.seen) == 1, "the long request does not arrive")
                busy = one if one.seen else other
                for _ in range(300):
                    alice.post(EXPLAIN, content=b"picture")
                waited = len(busy.seen) - 1
            finally:
                done.set()
            assert held.result().status_code == 200
    assert waited < 30, "one in 64 is expected, one in four where but two are drawn"


@needs("envoy")
@pytest.mark.slow
def test_connections_that_rest_leave_their_places_to_new_servers(tmp_path: Path) -> None:
    """Else a server that is added after a burst gets one connection, and requests wait for it beside idle servers."""
    with running_upstream() as server, ThreadPoolExecutor(CROWD) as threads:
        addresses = [server.address]
        with (
            running_gateway(tmp_path, dict.fromkeys(("predict", "explain"), addresses), without_budgets) as gateway,
            gateway.client() as alice,
        ):
            with server.held():
                asked = [threads.submit(alice.post, EXPLAIN, content=b"picture") for _ in range(CROWD)]
                wait_for(lambda: len(server.seen) == CROWD, "they do not arrive")
            assert {one.result().status_code for one in asked} == {200}
            assert active_connections(gateway, "explain") == CROWD
            wait_for(lambda: active_connections(gateway, "explain") == 0, "connections that rest are kept")
