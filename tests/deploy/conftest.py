"""One gateway in front of two servers that stand in for the pools', and what its answers have in common."""

from collections.abc import Iterator

import httpx
import pytest

from ..needs import program
from .gateway import Config, Gateway, routes_of, running_gateway
from .upstream import Reply, Upstream, running_upstream

ORIGIN = "https://dashboards.example.com"
UNLIMITED = {"max_tokens": 10000, "tokens_per_fill": 1, "fill_interval": "1s"}

Pools = dict[str, Upstream]


def for_tests(config: Config) -> None:
    """Budgets of which nothing comes back, none for alice; one origin; room for two explanations, and one to wait."""
    host, routes = routes_of(config)
    host["typed_per_filter_config"]["cors"]["allow_origin_string_match"] = [{"exact": ORIGIN}]
    for pool in ("predict", "explain"):
        descriptors = routes[pool]["typed_per_filter_config"]["budgets"]["descriptors"]
        descriptors[0]["token_bucket"]["fill_interval"] = "36000s"
        descriptors.insert(0, {"entries": [{"key": "client", "value": "alice"}], "token_bucket": UNLIMITED})
    [explain] = [cluster for cluster in config["static_resources"]["clusters"] if cluster["name"] == "explain"]
    explain["circuit_breakers"]["thresholds"][0] |= {"max_connections": 2, "max_pending_requests": 1}


@pytest.fixture(scope="session")
def upstreams() -> Iterator[Pools]:
    with running_upstream() as predict, running_upstream() as explain:
        yield {"predict": predict, "explain": explain}


@pytest.fixture(scope="session")
def gateway(upstreams: Pools, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    program("envoy")
    addresses = {name: [pool.address] for name, pool in upstreams.items()}
    with running_gateway(tmp_path_factory.mktemp("gateway"), addresses, for_tests) as running:
        yield running


@pytest.fixture
def pools(upstreams: Pools) -> Pools:
    """The two pools, with nothing seen yet and nothing special to answer."""
    for pool in upstreams.values():
        pool.reply = Reply()
        pool.seen.clear()
    return upstreams


@pytest.fixture
def alice(gateway: Gateway) -> Iterator[httpx.Client]:
    """A client without a budget."""
    with gateway.client("alice") as client:
        yield client
