"""A gateway at its own limits refuses its clients, and answers its probes and Prometheus."""

import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack

import httpx
import pytest

from ..needs import program
from ..waiting import wait_for
from .conftest import Pools
from .gateway import PREDICT, Config, Gateway, refusal, refusal_v2, running_gateway

CONNECTIONS = 3


def full(config: Config) -> None:
    """Room for a few connections, and no memory for any request."""
    manager = config["overload_manager"]
    monitors = {one["name"].rpartition(".")[2]: one["typed_config"] for one in manager["resource_monitors"]}
    monitors["global_downstream_max_connections"]["max_active_downstream_connections"] = CONNECTIONS
    monitors["fixed_heap"]["max_heap_size_bytes"] = 1


@pytest.fixture(scope="module")
def crowded(upstreams: Pools, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    program("envoy")
    addresses = {name: [pool.address] for name, pool in upstreams.items()}
    with running_gateway(tmp_path_factory.mktemp("full"), addresses, full) as running:
        wait_for(lambda: told(running, "stop_accepting_requests_active") == 1, "it has memory")
        yield running


def told(gateway: Gateway, name: str) -> float:
    """The sum of the series whose names end so."""
    metrics = httpx.get(f"{gateway.internal_url}/metrics", trust_env=False).raise_for_status().text
    values = re.findall(rf"^envoy_\w*{name}\{{.*\}} (\S+)$", metrics, re.MULTILINE)
    assert values, name
    return sum(map(float, values))


@pytest.mark.parametrize(
    ("headers", "name"),
    [({}, r"connection-\d+"), ({"X-Request-Id": "a-client-s"}, "a-client-s")],
    ids=["unnamed", "named"],
)
def test_without_memory_it_refuses_requests_and_stays_ready(
    crowded: Gateway, pools: Pools, headers: dict[str, str], name: str
) -> None:
    before = len(crowded.log())
    with crowded.client() as client:
        answer, other = (
            client.post(path, content=b"picture", headers=headers) for path in (PREDICT, "/v2/models/zfnet/infer")
        )
    for one in (answer, other):
        assert (one.status_code, one.headers["retry-after"]) == (503, "5")
    error = refusal(answer)
    assert error["message"] == refusal_v2(other)
    assert error["code"] == "unavailable"
    assert error["message"] == "the gateway is full: wait for Retry-After seconds"
    assert re.fullmatch(name, error["request_id"])
    wait_for(lambda: len(crowded.log()) == before + 2, "they are not logged")
    assert {line["request_id"] for line in crowded.log()} == {None}, "nothing that a client wrote"
    assert not pools["predict"].seen
    assert httpx.get(f"{crowded.internal_url}/ready", trust_env=False).text == "LIVE\n"


def test_without_room_it_closes_connections_and_stays_ready(crowded: Gateway) -> None:
    address = httpx.URL(crowded.url)
    before = told(crowded, "downstream_global_cx_overflow")
    with ExitStack() as stack:
        for _ in range(CONNECTIONS + 1):
            stack.enter_context(socket.create_connection((address.host, address.port)))
        wait_for(lambda: told(crowded, "downstream_global_cx_overflow") > before, "it takes all connections")
        for _ in range(CONNECTIONS + 1):
            assert httpx.get(f"{crowded.internal_url}/ready", trust_env=False).text == "LIVE\n"
