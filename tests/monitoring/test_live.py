"""Every panel and every rule on a Prometheus that scrapes the real server: what returns nothing is a defect."""

import json
import re

import pytest

from zfnet_explainer.commands.paths import WEIGHTS

from ..needs import needs
from .boards import Panel, panels, rules, substituted, variables
from .prometheus import Prometheus, finite

pytestmark = needs("prometheus")
WINDOW = "5m"
SLOW = "ZfnetLatencyHigh|ZfnetQueue.+|ZfnetServerDown|ZfnetNoServer"
MORE = re.compile("zfnet_device_memory|envoy_")  # the server runs on the CPU, and no gateway stands before it


def values_of_variables(prometheus: Prometheus, board: str) -> dict[str, list[str]]:
    """What a dashboard offers to choose from, all of it chosen."""
    values: dict[str, list[str]] = {}
    for name, query in variables(board).items():
        values[name] = prometheus.label_values(substituted(query, values, WINDOW))
        assert values[name], f"${name} offers nothing"
    return values


@pytest.mark.parametrize("panel", [pytest.param(p, id=f"{p.board}-{p.title}") for p in panels()])
def test_every_query_of_a_panel_returns_data(prometheus: Prometheus, panel: Panel) -> None:
    values = values_of_variables(prometheus, panel.board)
    for query in panel.queries:
        found = finite(prometheus.query(substituted(query, values, WINDOW)))
        print(f"{panel.board} | {panel.title} |", "; ".join(f"{labels or ''} {value:.4g}" for labels, value in found))
        assert bool(found) != panel.of_more, query


def test_classes_are_shown_by_their_labels(prometheus: Prometheus) -> None:
    labels = {entry["label"] for entry in json.loads((WEIGHTS.with_suffix(".json")).read_text())["classes"]}
    of_classes = [panel for panel in panels() if panel.title in ("Class mix", "Classes")]
    assert {panel.title for panel in of_classes} == {"Class mix", "Classes"}
    for panel in of_classes:
        [query] = panel.queries
        found = prometheus.query(substituted(query, values_of_variables(prometheus, panel.board), WINDOW))
        shown = {series["label"] for series, _ in found}
        assert shown
        assert shown <= labels
        assert panel.fields["targets"][0]["legendFormat"] == "{{label}}"


@pytest.mark.parametrize("rule", [pytest.param(rule, id=rule["record"]) for rule in rules("rules.yaml")])
def test_every_recording_rule_returns_data(prometheus: Prometheus, rule: dict[str, str]) -> None:
    found = finite(prometheus.query(rule["record"]))
    print("rule |", rule["record"], "|", "; ".join(f"{value:.4g}" for _, value in found))
    assert bool(found) != bool(MORE.search(rule["expr"]))


def test_rules_evaluate_and_no_alert_fires_under_a_healthy_load(prometheus: Prometheus) -> None:
    loaded = [rule for group in prometheus.ask("rules")["groups"] for rule in group["rules"]]
    assert len(loaded) == len(rules("rules.yaml")) + len(rules("alerts.yaml"))
    assert [rule["name"] for rule in loaded if rule["health"] != "ok"] == []
    assert prometheus.query('ALERTS{alertstate="firing"}') == []
    # Nor would one after its minutes: none is pending, but those of slowness, which a busy machine has, also where a
    # scrape does not end within its second.
    assert prometheus.query(f'ALERTS{{alertname!~"{SLOW}"}}') == []
