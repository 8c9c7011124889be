"""How much a client may ask for, how much a pool takes, and what happens where a server is gone."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from zfnet_explainer.torchserve.ports import free_ports

from ..needs import program
from ..waiting import wait_for
from .conftest import UNLIMITED, Pools
from .gateway import (
    CROWD,
    EXPLAIN,
    PREDICT,
    Config,
    Gateway,
    active_connections,
    fill,
    manager_of,
    refusal,
    routes_of,
    running_gateway,
)
from .upstream import Reply

SMALL_BUDGET = 2


def impatient(config: Config) -> None:
    """A request has two seconds to arrive, a server little time to say that it is well; budgets that end soon.

    A client may name its address in X-Forwarded-For, as a load balancer does.
    """
    manager_of(config).update(request_timeout="2s", xff_num_trusted_hops=1)
    _, routes = routes_of(config)
    explain = routes["explain"]
    routes["health"]["route"] = {
        "cluster": "explain", "timeout": "0.2s", "retry_policy": explain["route"]["retry_policy"],
    }  # fmt: skip
    opened = routes["page"]["typed_per_filter_config"]  # one mapping for all routes without a token, by YAML's alias
    opened["budgets"]["descriptors"][0]["token_bucket"]["fill_interval"] = "36000s"
    descriptors = explain["typed_per_filter_config"]["budgets"]["descriptors"]
    descriptors[0]["token_bucket"] |= {"max_tokens": SMALL_BUDGET, "fill_interval": "36000s"}
    descriptors.insert(0, {"entries": [{"key": "client", "value": "alice"}], "token_bucket": UNLIMITED})


@pytest.fixture(scope="module")
def troubled(upstreams: Pools, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """An impatient gateway; the one server for predictions is dead, and one of the two for explanations."""
    program("envoy")
    dead = [f"127.0.0.1:{port}" for port in free_ports(2)]
    addresses = {"predict": dead[:1], "explain": [dead[1], upstreams["explain"].address]}
    with running_gateway(tmp_path_factory.mktemp("troubled"), addresses, impatient) as running:
        yield running


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


def test_a_full_pool_refuses_at_once(gateway: Gateway, pools: Pools, alice: httpx.Client) -> None:
    explain = pools["explain"]
    with ThreadPoolExecutor() as executor, explain.held():
        taken = fill(gateway, explain, lambda: executor.submit(alice.post, EXPLAIN, content=b"picture"))
        refused = alice.post(EXPLAIN, content=b"picture")
        assert alice.post(PREDICT, content=b"picture").status_code == 200, "the other pool has room"
    assert (refused.status_code, refusal(refused)["code"]) == (503, "unavailable")
    assert int(refused.headers["retry-after"]) > 0
    assert [one.result().status_code for one in taken] == [200] * 3


def test_a_crowd_in_turn_has_a_budget_each(troubled: Gateway, pools: Pools) -> None:
    with troubled.client(None) as client:
        headers = [{"Authorization": f"Bearer {troubled.tokens[name]}"} for name in CROWD]
        rounds = [
            [client.post(EXPLAIN, content=b"picture", headers=one).status_code for one in headers]
            for _ in range(SMALL_BUDGET + 1)
        ]
    assert rounds == [[200] * len(CROWD)] * SMALL_BUDGET + [[429] * len(CROWD)]
    assert len(pools["explain"].seen) == SMALL_BUDGET * len(CROWD)


@pytest.mark.slow
@pytest.mark.usefixtures("pools")
def test_servers_that_are_dead_or_slow_and_clients_that_are_slow(troubled: Gateway) -> None:
    with troubled.client() as alice:
        late = alice.post(EXPLAIN, content=never_ending())
        assert (late.status_code, refusal(late)["code"]) == (408, "request_timeout")
        pages = [alice.get(EXPLAIN).status_code for _ in range(31)]
        assert pages == [503] * 30 + [429], "an address opens the page so often, and no oftener"
        assert [alice.post(EXPLAIN, content=b"picture").status_code for _ in range(6)] == [200] * 6
        answer = alice.post(PREDICT, content=b"picture")
        assert (answer.status_code, refusal(answer)["code"]) == (503, "unavailable")
        assert int(answer.headers["retry-after"]) > 0


def test_health_is_answered_in_time_and_so_often(troubled: Gateway, pools: Pools) -> None:
    with troubled.client(None) as anybody:
        with pools["explain"].held():
            unanswered = anybody.get("/ping")
        assert (unanswered.status_code, refusal(unanswered)["code"]) == (504, "timeout")
        refused = [anybody.get("/ping").status_code == 429 for _ in range(30)]  # a busy machine may be late: 504
        assert refused == [False] * 29 + [True], "an address asks so often, and no oftener"


def test_an_address_is_one_of_ipv4_or_a_network_of_ipv6(troubled: Gateway) -> None:
    """Whoever has IPv6 has 2^64 addresses."""

    def statuses(*addresses: str) -> list[int]:
        with troubled.client(None) as anybody:
            return [anybody.get("/v2", headers={"X-Forwarded-For": one}).status_code for one in addresses]

    assert statuses(*(f"2001:db8::{i:x}" for i in range(31))) == [200] * 30 + [429]
    assert statuses("2001:db8:0:1::") == [200]
    assert statuses(*(f"192.0.2.{i}" for i in range(31))) == [200] * 31


@pytest.mark.slow
def test_a_client_that_stops_reading_leaves_no_answer_with_a_server(
    upstreams: Pools, pools: Pools, tmp_path: Path
) -> None:
    def hurried(config: Config) -> None:
        config["static_resources"]["listeners"][0]["socket_options"][0]["int_value"] = 1000

    program("envoy")
    pools["explain"].reply = Reply(body=bytes(40 * 2**20))
    addresses = {name: [pool.address] for name, pool in upstreams.items()}
    with (
        running_gateway(tmp_path, addresses, hurried) as gateway,
        gateway.client() as alice,
        alice.stream("POST", EXPLAIN, content=b"picture") as answer,
    ):
        assert (answer.status_code, active_connections(gateway, "explain")) == (200, 1)
        wait_for(lambda: active_connections(gateway, "explain") == 0, "the server keeps the answer")


def never_ending() -> Iterator[bytes]:
    """A body that goes on until nobody listens."""
    while True:
        yield b"picture"
        time.sleep(0.05)
