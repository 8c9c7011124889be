"""The numbers that docs/gateway.md promises, in the configuration as deployed: other tests run it with their own."""

from typing import Any

import yaml

from zfnet_explainer.commands.connection import connected
from zfnet_explainer.torchserve.config import RESPONSE_TIMEOUT_S
from zfnet_explainer.torchserve.shipped import SHIPPED

from .gateway import FILES, Config, manager_of, routes_of
from .manifests import DEPLOY, built, gib, of_kind, server

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


def test_nobody_is_let_in_who_is_not_listed() -> None:
    """Other tests list an origin of their own."""
    assert "| Other origins | none, until they are listed under `allow_origin_string_match`" in PAGE
    cors = routes_of(CONFIG)[0]["typed_per_filter_config"]["cors"]
    assert cors["allow_origin_string_match"] == []
    manager = manager_of(CONFIG)
    assert manager["use_remote_address"] is True
    assert "xff_num_trusted_hops" not in manager, "else a client names its own address, and has a budget for each"
    assert "| TLS | 1.2 or newer;" in PAGE
    tls = CONFIG["static_resources"]["listeners"][0]["filter_chains"][0]["transport_socket"]["typed_config"]
    assert tls["common_tls_context"]["tls_params"] == {"tls_minimum_protocol_version": "TLSv1_2"}


def test_its_own_limits_are_within_its_container() -> None:
    assert "2,000 connections and 0.9 of 768 MiB (`overload_manager`)" in PAGE
    manager = CONFIG["overload_manager"]
    monitors = {one["name"].rpartition(".")[2]: one["typed_config"] for one in manager["resource_monitors"]}
    heap = monitors["fixed_heap"]["max_heap_size_bytes"]
    assert heap == 768 * 2**20
    assert monitors["global_downstream_max_connections"]["max_active_downstream_connections"] == 2000
    [action] = manager["actions"]
    assert [trigger["threshold"]["value"] for trigger in action["triggers"]] == [0.9]
    pod = server(of_kind(built("kubernetes/overlays/cpu"), "Deployment")["zfnet-gateway"])
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]["gateway"]
    for limit in (pod["resources"]["limits"]["memory"], compose["mem_limit"].replace("g", "Gi")):
        assert heap < gib(limit) * 2**30, "it refuses before the kernel kills"


def test_every_server_of_a_pool_is_seen_and_a_full_one_stays_in_it() -> None:
    assert "the server with the fewest requests, of two reachable ones drawn by chance, for explanations of six" in PAGE
    for cluster in CONFIG["static_resources"]["clusters"]:
        if cluster["name"] in ("predict", "explain"):
            assert (cluster["type"], cluster["lb_policy"]) == ("STRICT_DNS", "LEAST_REQUEST")
            assert "dns_refresh_rate" not in cluster, "the drain counts on its 5 s"
            passive = cluster["outlier_detection"]
            enforced = {name: share for name, share in passive.items() if name.startswith("enforcing_")}
            assert passive["split_external_local_origin_errors"] is True
            assert set(enforced.values()) == {0}
            assert {"enforcing_consecutive_5xx", "enforcing_consecutive_gateway_failure"} < set(enforced)


def test_places() -> None:
    assert "| requests under way in the pool | 256, 256 waiting | 64, 64 waiting |" in PAGE
    places = {}
    for cluster in CONFIG["static_resources"]["clusters"]:
        if "circuit_breakers" in cluster:
            [found] = cluster["circuit_breakers"]["thresholds"]
            assert found["max_connections"] == found["max_requests"], "over HTTP/1.1 a request has one of its own"
            places[cluster["name"]] = (found["max_requests"], found["max_pending_requests"])
            assert found["max_retries"] == found["max_requests"], "a retry has one until it is answered"
            assert found["max_pending_requests"] == found["max_requests"], "a burst waits for its connections"
    assert places == {"predict": (256, 256), "explain": (64, 64)}


def test_how_long() -> None:
    assert "| 30 s for a prediction: then 504, while the server computes on; 610 s for an explanation: " in PAGE
    assert f"610 s for an explanation: a server gives up after {RESPONSE_TIMEOUT_S} s, and says so. " in PAGE
    explain = ROUTES["explain"]["route"]
    assert (ROUTES["predict"]["route"]["timeout"], explain["timeout"], explain["idle_timeout"]) == (
        "30s",
        "610s",
        "610s",
    )
    assert RESPONSE_TIMEOUT_S < 610, "the server's own word comes first"
    with connected("http://127.0.0.1", {}, None) as client:
        assert (client.timeout.read or 0) > 610, "a client of ours hears the gateway's"
    silent = [{"level": 6, "name": 18, "int_value": 60_000}]  # TCP_USER_TIMEOUT
    [public] = [one for one in CONFIG["static_resources"]["listeners"] if one["name"] == "public"]
    [pool] = [one for one in CONFIG["static_resources"]["clusters"] if one["name"] == "explain"]
    assert public["socket_options"] == pool["upstream_bind_config"]["socket_options"] == silent
    assert "else 503, or 504 after 30 s" in PAGE
    assert [ROUTES[name]["route"]["timeout"] for name in ("page", "protocol ready", "protocol model ready")] == [
        "30s"
    ] * 3
    assert "or a prediction's paused for one" in PAGE
    assert manager_of(CONFIG)["stream_idle_timeout"] == "60s"
    assert "the request took over two minutes to arrive" in PAGE
    assert manager_of(CONFIG)["request_timeout"] == "120s"
    assert "one that asks nothing is closed only after 75 s" in PAGE
    assert manager_of(CONFIG)["common_http_protocol_options"]["idle_timeout"] == "75s"
