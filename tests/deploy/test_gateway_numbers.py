"""The numbers that docs/gateway.md promises, in the configuration as deployed: other tests run it with their own."""

from typing import Any

import yaml

from zfnet_explainer.torchserve.config import RESPONSE_TIMEOUT_S
from zfnet_explainer.torchserve.shipped import SHIPPED

from .gateway import FILES, Config, manager_of, routes_of

PAGE = " ".join((SHIPPED / "docs" / "gateway.md").read_text().split())
CONFIG: Config = yaml.safe_load((FILES / "envoy.yaml").read_text())
ROUTES = routes_of(CONFIG)[1]


def budget(route: str) -> dict[str, Any]:
    """What one client, or one address, may ask of a route."""
    [descriptor] = ROUTES[route]["typed_per_filter_config"]["budgets"]["descriptors"]
    bucket: dict[str, Any] = descriptor["token_bucket"]
    return bucket


def test_budgets() -> None:
    assert "| a client's budget | 100 at once, 50 a second | 20 at once, one in 2 s |" in PAGE
    assert budget("predict") == {"max_tokens": 100, "tokens_per_fill": 50, "fill_interval": "1s"}
    assert budget("explain") == {"max_tokens": 20, "tokens_per_fill": 1, "fill_interval": "2s"}
    assert "an address may ask each route 30 times at once, and once a second" in PAGE
    opened = [name for name, route in ROUTES.items() if "tokens" in route.get("typed_per_filter_config", {})]
    assert {"health", "page", "protocol ready"} < set(opened)
    for name in opened:
        assert budget(name) == {"max_tokens": 30, "tokens_per_fill": 1, "fill_interval": "1s"}, name
    assert "It keeps the budgets of the last 10,000 clients" in PAGE
    for name in ("predict", "explain", *opened):
        assert ROUTES[name]["typed_per_filter_config"]["budgets"]["max_dynamic_descriptors"] == 10_000, name


def test_places() -> None:
    assert "| requests under way in the pool | 256, 256 waiting | 64, 64 waiting |" in PAGE
    places = {}
    for cluster in CONFIG["static_resources"]["clusters"]:
        if "circuit_breakers" in cluster:
            [found] = cluster["circuit_breakers"]["thresholds"]
            assert found["max_connections"] == found["max_requests"], "over HTTP/1.1 a request has one of its own"
            places[cluster["name"]] = (found["max_requests"], found["max_pending_requests"])
            assert found["max_pending_requests"] == found["max_requests"], "a burst waits for its connections"
    assert places == {"predict": (256, 256), "explain": (64, 64)}


def test_how_long() -> None:
    assert "| 30 s for a prediction: then 504, while the server computes on; 610 s for an explanation: " in PAGE
    assert f"610 s for an explanation: a server gives up after {RESPONSE_TIMEOUT_S} s, and says so |" in PAGE
    explain = ROUTES["explain"]["route"]
    assert (ROUTES["predict"]["route"]["timeout"], explain["timeout"], explain["idle_timeout"]) == (
        "30s",
        "610s",
        "610s",
    )
    assert RESPONSE_TIMEOUT_S < 610, "the server's own word comes first"
    assert "the request took over two minutes to arrive" in PAGE
    assert manager_of(CONFIG)["request_timeout"] == "120s"
    assert "one that asks nothing is closed only after 75 s" in PAGE
    assert manager_of(CONFIG)["common_http_protocol_options"]["idle_timeout"] == "75s"
