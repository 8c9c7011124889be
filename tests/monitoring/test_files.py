"""Rules, alerts and dashboards as files: what can be told without a server."""

import re
import subprocess
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml

from zfnet_explainer.service.metrics import METRICS
from zfnet_explainer.torchserve.config import METRICS_CONFIG, ServerOptions

from ..needs import needs
from .boards import BOARDS, DEPLOY, Panel, panels, rules, substituted

PROMETHEUS = DEPLOY / "prometheus"
RUNBOOK = DEPLOY.parent / "docs" / "runbook.md"
WORDS = re.compile(r"(?<![\w:$\"])(?:zfnet|ts|(?:instance\w*|pool):zfnet)_[\w:]+|\bRequests\dXX\b")
OF = '{job="zfnet", instance="a", %s}'
Expected = dict[str, dict[str, float]]  # by a panel's title and a series
shown = pytest.mark.parametrize("panel", [pytest.param(p, id=f"{p.board}-{p.title}") for p in panels()])


def promtool(*arguments: object) -> None:
    """Run it beside the rules; what it has to say fails the test."""
    said = subprocess.run(["promtool", *map(str, arguments)], cwd=PROMETHEUS, capture_output=True, text=True)
    assert said.returncode == 0, said.stdout + said.stderr


@needs("promtool")
def test_the_configuration_is_valid() -> None:
    promtool("check", "config", "prometheus.yml")


@needs("promtool")
def test_rules_and_alerts_hold() -> None:
    promtool("test", "rules", "rules_test.yaml")


@needs("promtool")
def test_servers_and_gateways_are_told_apart_within_one_job(tmp_path: Path) -> None:
    head, *tests = re.split(r"^(?=  - name: )", (PROMETHEUS / "rules_test.yaml").read_text(), flags=re.MULTILINE)
    text = head + "".join(test for test in tests if "zfnet-gateway" in test)  # as text: `0x9` is a number to YAML
    text, count = re.subn(r'\bjob(="|: )zfnet(-gateway)?\b', r"job\g<1>kubernetes-pods", text)
    assert count > 20
    for file in ("rules.yaml", "alerts.yaml"):
        (tmp_path / file).write_text((PROMETHEUS / file).read_text())
    (tmp_path / "test.yaml").write_text(text)
    promtool("test", "rules", tmp_path / "test.yaml")


def test_what_is_scraped_where_and_how_often() -> None:
    """Other tests scrape their own servers every second; a range of 5 m needs several scrapes."""
    plain, composed, found = (
        yaml.safe_load((DEPLOY / name).read_text())
        for name in ("prometheus/prometheus.yml", "compose/prometheus.yml", "prometheus/kubernetes.yml")
    )
    for config in (plain, composed, found):
        assert config["global"] == {"scrape_interval": "15s", "evaluation_interval": "15s"}
    for source in ("grafana/provisioning/datasources/prometheus.yaml", "compose/datasource.yaml"):
        [prometheus] = yaml.safe_load((DEPLOY / source).read_text())["datasources"]
        assert prometheus["jsonData"]["timeInterval"] == "15s", "what $__rate_interval goes by"
    targets = [
        target
        for config in (plain, composed)
        for job in config["scrape_configs"]
        for static in job["static_configs"]
        for target in static["targets"]
    ]
    port = ServerOptions().metrics_port
    servers = [f"{host}:{port}" for host in ("localhost", "zfnet-predict", "zfnet-explain")]
    assert targets == [*servers, "gateway:9902"]


def test_no_rule_and_no_panel_names_a_job() -> None:
    for name in ("rules.yaml", "alerts.yaml"):
        assert [rule["expr"] for rule in rules(name) if re.search(r"job!?=", rule["expr"])] == []
    for panel in panels():
        for query in panel.queries:
            selectors = re.findall(r"\{([^{}]*)\}", query)
            asked = [selector for selector in selectors if "job=" in selector]
            assert asked, query
            assert all(re.search(r'\bjob=~"\$job\|?"', selector) for selector in asked), query


def test_every_alert_is_tested_and_has_its_section_in_the_runbook() -> None:
    alerts = {rule["alert"] for rule in rules("alerts.yaml")}
    sections = re.findall(r"^## (\w+)$", RUNBOOK.read_text(), re.MULTILINE)
    assert sorted(sections) == sorted(alerts)
    tests = yaml.safe_load((PROMETHEUS / "rules_test.yaml").read_text())["tests"]
    cases = [case for test in tests for case in test["alert_rule_test"]]
    assert {case["alertname"] for case in cases if case["exp_alerts"]} == alerts
    assert {case["alertname"] for case in cases if not case["exp_alerts"]} == alerts


@pytest.mark.parametrize("rule", [pytest.param(rule, id=rule["alert"]) for rule in rules("alerts.yaml")])
def test_an_alert_says_what_is_wrong_and_where_to_read_on(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in {"critical", "warning"}
    assert rule["annotations"].keys() == {"summary", "description", "runbook"}
    assert rule["annotations"]["runbook"] == f"docs/runbook.md#{rule['alert'].lower()}"


@pytest.mark.parametrize(
    ("alert", "promise", "bounds"),
    [
        ("ZfnetServerRestarts", "started anew at least twice within an hour", [">= 2", ">= 2"]),
        ("ZfnetErrorRatioHigh", "More than 5 % of the handler's answers", ["> 0.05"]),
        ("ZfnetLatencyHigh", "in the handler than 1 s (predict) or 7.5 s (explain)", ["> 1", "> 7.5"]),
        ("ZfnetQueueGrowing", "the mean wait is over 2 s", ["> 2", "<= 1.1"]),
        ("ZfnetQueueLong", "For ten minutes a request has waited over 10 s", ["> 10"]),
        ("ZfnetDeviceMemoryAlmostFull", "Over 95 % of a GPU's memory", ["> 0.95"]),
        ("ZfnetGatewayErrorRatioHigh", "More than 5 % of what the gateway sent", ["> 0.05"]),
        ("ZfnetGatewayCertificateExpires", "ends in less than two weeks", ["< 14"]),
        ("ZfnetOcclusionDropDrift", "With fewer than 50 pictures", ["> 0.15", ">= 50", ">= 50"]),
        ("ZfnetConfidenceDrift", "with at least 100 pictures in each period", ["> 0.1", ">= 100", ">= 100"]),
    ],
)
def test_an_alert_comes_where_the_runbook_says(alert: str, promise: str, bounds: list[str]) -> None:
    """The rules' own tests are of values far on either side."""
    [expression] = [rule["expr"] for rule in rules("alerts.yaml") if rule["alert"] == alert]
    assert re.findall(r"[<>]=? [\d.]+(?=\s|$)", expression) == bounds
    assert promise in " ".join(RUNBOOK.read_text().split())


def test_only_metrics_that_exist_are_asked_for() -> None:
    known = {metric.name for metric in METRICS if metric.kind != "histogram"}
    known |= {f"{m.name}_{part}" for m in METRICS if m.kind == "histogram" for part in ("bucket", "sum", "count")}
    known |= {m["name"] for kind in yaml.safe_load(METRICS_CONFIG.read_text())["ts_metrics"].values() for m in kind}
    known |= {rule["record"] for rule in rules("rules.yaml")}
    queries = [rule["expr"] for name in ("rules.yaml", "alerts.yaml") for rule in rules(name)]
    queries += [query for panel in panels() for query in panel.queries]
    asked = {word for query in queries for word in WORDS.findall(query)}
    assert len(asked) > 40
    assert asked <= known


def test_every_recording_rule_is_read() -> None:
    queries = [rule["expr"] for name in ("rules.yaml", "alerts.yaml") for rule in rules(name)]
    queries += [query for panel in panels() for query in panel.queries]
    read = {word for query in queries for word in WORDS.findall(query)}
    assert {rule["record"] for rule in rules("rules.yaml")} <= read


@needs("promtool")
def test_workers_that_are_gone_are_not_counted(tmp_path: Path) -> None:
    """Worker 9000 was scaled away, its series stays; 9001 has long been at one batch of two, 9002 for two
    of the last five minutes.
    """
    series = {
        "zfnet_worker_resident_memory_bytes" + OF % 'worker="9000"': "5x120",
        "zfnet_worker_resident_memory_bytes" + OF % 'worker="9001"': "6x100 7x20",
        "zfnet_worker_resident_memory_bytes" + OF % 'worker="9002"': "6x100 8x20",
        "zfnet_requests_in_progress" + OF % 'worker="9000"': "0x120",
        "zfnet_requests_in_progress" + OF % 'worker="9001"': "2x120",
        "zfnet_requests_in_progress" + OF % 'worker="9002"': " ".join(["0 2"] * 61),
    }
    memory = {"zfnet_worker_resident_memory_bytes" + OF % f'worker="{n}"': v for n, v in ((9001, 7.0), (9002, 8.0))}
    shown_as(tmp_path, series, {"Workers busy": {'{instance="a"}': 1.4}, "Worker memory": memory})


@needs("promtool")
def test_the_wait_is_that_of_requests_that_were_taken(tmp_path: Path) -> None:
    """Ten come a second, one is taken after a minute and a half, nine are refused at the full queue."""
    series = {
        "ts_inference_requests_total" + OF % 'model_name="zfnet"': "0+600x120",
        "ts_queue_latency_microseconds" + OF % 'model_name="zfnet"': "0+5400000000x120",
        "zfnet_batch_size_requests_sum" + OF % "": "0+60x120",
    }
    shown_as(tmp_path, series, {"Time in the queue": {'{instance="a"}': 90.0}})


@needs("promtool")
def test_two_classes_of_one_label_are_two(tmp_path: Path) -> None:
    """ImageNet has a bird and a machine that are both called crane."""
    bird, machine = '{synset="n02012849", label="crane"}', '{synset="n03126707", label="crane"}'
    counter = 'zfnet_predictions_total{job="zfnet", instance="a", %s'
    series = {counter % bird[1:]: "0+60x120", counter % machine[1:]: "0+120x120"}
    counted: Expected = {"Class mix": {bird: 1, machine: 2}, "Classes": {bird: 300, machine: 600}}
    shown_as(tmp_path, series, counted)


@needs("promtool")
def test_the_worst_hour_is_one_of_all_methods_together(tmp_path: Path) -> None:
    """Within the range, an hour with two disagreements and, after it, one with another method's."""
    record = "instance_method:zfnet_crosscheck_disagreements:delta1h" + OF
    series = {record % 'method="deconv"': "0x115 2 0x9", record % 'method="occlusion"': "0x117 1 0x9"}
    shown_as(tmp_path, series, {"Disagreements in the worst hour": {"{}": 2.0}})


def shown_as(tmp_path: Path, series: dict[str, str], expected: Expected) -> None:
    """Fail unless the panels show this of these series, given as promtool writes values, after two hours and a bit.

    Between two samples, as a range has its first moment's sample in Prometheus 2 and no longer in Prometheus 3.
    """
    queries = {panel.title: panel.queries for panel in panels()}
    tests = [
        {
            "expr": substituted(queries[title][0], {"job": ["zfnet"], "instance": ["a"], "model": ["zfnet"]}, "5m"),
            "eval_time": "120m30s",
            "exp_samples": [{"labels": labels, "value": value} for labels, value in samples.items()],
        }
        for title, samples in expected.items()
    ]
    inputs = [{"series": name, "values": values} for name, values in series.items()]
    file = {"tests": [{"interval": "1m", "input_series": inputs, "promql_expr_test": tests}]}
    (tmp_path / "test.yaml").write_text(yaml.safe_dump(file))
    promtool("test", "rules", tmp_path / "test.yaml")


@shown
def test_a_panel_explains_itself(panel: Panel) -> None:
    assert panel.description.endswith(".")
    assert panel.fields["fieldConfig"]["defaults"]["unit"]
    assert panel.fields["fieldConfig"]["defaults"]["thresholds"]["steps"]
    assert panel.fields["datasource"]["uid"] == "${datasource}"


@pytest.mark.parametrize("name", BOARDS)
def test_a_dashboard_is_laid_out_without_overlaps(name: str) -> None:
    fields = BOARDS[name]["panels"]
    assert len({panel["id"] for panel in fields}) == len(fields)
    boxes = [panel["gridPos"] for panel in fields]
    assert all(box["x"] + box["w"] <= 24 for box in boxes)
    for one, other in combinations(boxes, 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        apart = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or apart, (one, other)


def test_dashboards_keep_their_addresses() -> None:
    assert {name: board["uid"] for name, board in BOARDS.items()} == {
        "service": "zfnet-service",
        "explanations": "zfnet-explanations",
    }
