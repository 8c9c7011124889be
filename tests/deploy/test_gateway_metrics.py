"""The series that rules and dashboards ask of the gateway: the real one has them, after all that they count."""

import re
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from ..monitoring.boards import panels, rules
from .conftest import Pools
from .gateway import EXPLAIN, Gateway, fill
from .upstream import torchserve_error

QUERIES = [rule["expr"] for name in ("rules.yaml", "alerts.yaml") for rule in rules(name)]
QUERIES += [query for panel in panels() for query in panel.queries]
OF_LABELS = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)")
SELECTOR = re.compile(r"[\w:]*\{[^}]*\}|\benvoy_\w+")  # with labels of any name, or bare
SELECTORS = sorted(
    {found for query in QUERIES for found in SELECTOR.findall(OF_LABELS.sub("", query)) if found.startswith("envoy_")}
)
OF_PROMETHEUS = {"job", "instance"}


@pytest.fixture(scope="module")
def series(gateway: Gateway, upstreams: Pools) -> list[tuple[str, dict[str, str]]]:
    """Names and labels of all that it exposes once a pool was full and a server has failed."""
    explain = upstreams["explain"]
    with gateway.client("alice") as alice, ThreadPoolExecutor() as executor:
        with explain.held():
            asked = fill(gateway, explain, lambda: executor.submit(alice.post, EXPLAIN, content=b"picture"))
            assert alice.post(EXPLAIN, content=b"picture").status_code == 503
        assert [one.result().status_code for one in asked] == [200] * 3
        for pool in upstreams.values():
            pool.reply = torchserve_error(503, "ServiceUnavailableException")
        assert alice.post(EXPLAIN, content=b"picture").status_code == 503
    text = httpx.get(f"{gateway.internal_url}/metrics", trust_env=False).text
    lines = re.findall(r"^(\w+)\{(.*)\} \S+$", text, re.MULTILINE)
    return [(name, dict(re.findall(r'(\w+)="([^"]*)"', labels))) for name, labels in lines]


def test_rules_and_dashboards_ask_the_gateway() -> None:
    assert len(SELECTORS) >= 5
    assert "envoy_server_days_until_first_cert_expiring" in SELECTORS


@pytest.mark.parametrize("selector", SELECTORS)
def test_the_gateway_has_what_is_asked_for(series: list[tuple[str, dict[str, str]]], selector: str) -> None:
    name, _, labels = selector.rstrip("}").partition("{")
    asked = {label: value for label, value in re.findall(r'(\w+)=~?"([^"]*)"', labels) if label not in OF_PROMETHEUS}
    assert any(
        found == name and all(re.fullmatch(value, has.get(label, "")) for label, value in asked.items())
        for found, has in series
    )
