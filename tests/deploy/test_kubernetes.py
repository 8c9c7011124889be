"""The Kubernetes objects: valid, and in agreement with the server, the gateway and the metrics."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from zfnet_explainer.service.metrics import METRICS
from zfnet_explainer.torchserve.config import ServerOptions
from zfnet_explainer.torchserve.drain import ASK_S, UNWELL_S
from zfnet_explainer.torchserve.server import READY_TIMEOUT_S, STOP_TIMEOUT_S

from ..needs import program
from .gateway import FILES, routes_of
from .manifests import (
    CUDA_GIB,
    DEPLOY,
    OVERLAYS,
    POOLS,
    Manifest,
    built,
    gib,
    java_options,
    memory_needed,
    of_kind,
    pod,
    serve_options,
    server,
)

KUBERNETES = "1.32"
CRDS = {"ServiceMonitor", "PodMonitor", "PrometheusRule"}
GPUS = {
    "cpu": None,
    "gpu": "nvidia.com/gpu",
    "gpu-mig": "nvidia.com/mig-1g.10gb",
    "gpu-shared": "nvidia.com/gpu.shared",
}
# A cluster's DNS lets its names live for up to 30 s, and the gateway asks for them every 5 s.
DNS_FOLLOWS_S = 35
PROBES = ("startupProbe", "readinessProbe", "livenessProbe")


@pytest.fixture(params=OVERLAYS)
def overlay(request: pytest.FixtureRequest) -> list[Manifest]:
    return built(f"kubernetes/overlays/{request.param}")


@pytest.fixture
def cpu() -> list[Manifest]:
    return built("kubernetes/overlays/cpu")


def test_every_built_in_kind_is_valid() -> None:
    manifests = [manifest for name in OVERLAYS for manifest in built(f"kubernetes/overlays/{name}")]
    different = {yaml.safe_dump(manifest): manifest for manifest in manifests if manifest["kind"] not in CRDS}
    for manifest in different.values():
        kubernetes_validate.validate(manifest, KUBERNETES, strict=True)


def test_every_pod_meets_the_namespace_s_restrictions(overlay: list[Manifest]) -> None:
    deployments = of_kind(overlay, "Deployment")
    assert set(deployments) == {"zfnet-gateway", *(f"zfnet-{pool}" for pool in POOLS)}
    for deployment in deployments.values():
        security, container = pod(deployment)["securityContext"], server(deployment)["securityContext"]
        assert security["runAsNonRoot"]
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}
        assert container["readOnlyRootFilesystem"]
        assert container["allowPrivilegeEscalation"] is False
        assert container["capabilities"] == {"drop": ["ALL"]}
        assert pod(deployment)["automountServiceAccountToken"] is False


@pytest.mark.parametrize(("name", "resource"), GPUS.items())
def test_an_overlay_asks_for_its_hardware_for_explanations(name: str, resource: str | None) -> None:
    deployments = of_kind(built(f"kubernetes/overlays/{name}"), "Deployment")
    explain = deployments["zfnet-explain"]
    assert asked_of_the_plugin(explain) == ([resource] if resource else [])
    assert serve_options(server(explain)["args"])["device"] == ("cuda" if resource else "auto")
    assert (pod(explain).get("runtimeClassName"), "tolerations" in pod(explain)) == (
        ("nvidia", True) if resource else (None, False)
    )
    surge = explain["spec"]["strategy"]["rollingUpdate"]
    assert surge == ({"maxSurge": 0, "maxUnavailable": 1} if resource else {"maxSurge": 1, "maxUnavailable": 0})
    others = of_kind(built("kubernetes/overlays/cpu"), "Deployment")
    for one in ("zfnet-predict", "zfnet-gateway"):
        assert deployments[one] == others[one], "it needs no GPU"


def asked_of_the_plugin(deployment: Manifest) -> list[str]:
    return [key for key in server(deployment)["resources"]["limits"] if key.startswith("nvidia.com/")]


def test_a_pod_has_time_to_end_what_it_has_begun(cpu: list[Manifest]) -> None:
    deployments = of_kind(cpu, "Deployment")
    for pool in POOLS:
        options = serve_options(server(deployments[f"zfnet-{pool}"])["args"])
        given = pod(deployments[f"zfnet-{pool}"])["terminationGracePeriodSeconds"]
        assert options["drain_seconds"] + STOP_TIMEOUT_S < given
        longest = float(_route(pool)["timeout"].removesuffix("s"))
        assert longest < options["drain_seconds"]
        assert options["settle_seconds"] + DNS_FOLLOWS_S < options["drain_seconds"]
    gateway = deployments["zfnet-gateway"]
    [sleep] = re.findall(r"; sleep (\d+)$", server(gateway)["lifecycle"]["preStop"]["exec"]["command"][-1])
    assert int(sleep) < pod(gateway)["terminationGracePeriodSeconds"]


def test_a_server_that_gives_up_ends_by_itself_before_its_probes_end_it(overlay: list[Manifest]) -> None:
    """It says why. Where a probe has to, nothing is answered that the pod's long grace would be for."""
    for pool in POOLS:
        container = server(of_kind(overlay, "Deployment")[f"zfnet-{pool}"])
        for name, own in (("startupProbe", READY_TIMEOUT_S), ("livenessProbe", UNWELL_S + ASK_S)):
            probe = container[name]
            at_the_earliest = probe["periodSeconds"] * (probe["failureThreshold"] - 1)
            assert at_the_earliest > own + STOP_TIMEOUT_S
            assert STOP_TIMEOUT_S < probe["terminationGracePeriodSeconds"] <= 30


def test_a_rollout_waits_for_a_pod_that_drains_before_its_successor(overlay: list[Manifest]) -> None:
    for pool in POOLS:
        deployment = of_kind(overlay, "Deployment")[f"zfnet-{pool}"]
        spec, grace = deployment["spec"], pod(deployment)["terminationGracePeriodSeconds"]
        before = 0 if spec["strategy"]["rollingUpdate"]["maxSurge"] else grace
        assert before + READY_TIMEOUT_S < spec.get("progressDeadlineSeconds", 600)


def test_the_memory_limit_holds_a_worker_and_java_at_their_most(overlay: list[Manifest]) -> None:
    """Beyond it the kubelet ends the whole container, with all that waits in it."""
    for pool in POOLS:
        deployment = of_kind(overlay, "Deployment")[f"zfnet-{pool}"]
        needed = memory_needed(java_options(server(deployment))) + (CUDA_GIB if asked_of_the_plugin(deployment) else 0)
        assert needed <= gib(server(deployment)["resources"]["limits"]["memory"])


def test_probes_ask_what_zfnet_health_knows(cpu: list[Manifest], tmp_path: Path) -> None:
    container = server(of_kind(cpu, "Deployment")["zfnet-predict"])
    asked_for = [container[probe]["exec"]["command"][-1] for probe in PROBES]
    assert asked_for == ["alive", "ready", "alive"], "one that is about to stop is not ready, and not to be killed"
    for command in (container[probe]["exec"]["command"] for probe in PROBES):
        assert command[:3] == ["zfnet-health", "--run-dir", container["volumeMounts"][0]["mountPath"]]
        run = "from zfnet_explainer.torchserve.health import main; main()"
        asked = [sys.executable, "-c", run, "--run-dir", str(tmp_path / "none"), *command[3:]]
        done = subprocess.run(asked, capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stderr[:4]) == (1, "not "), "2 would say that it did not understand"


def test_the_gateway_finds_the_pools_and_nobody_finds_the_management_port(cpu: list[Manifest]) -> None:
    services, deployments = of_kind(cpu, "Service"), of_kind(cpu, "Deployment")
    envoy = yaml.safe_load((DEPLOY / "gateway" / "envoy.yaml").read_text())
    clusters = {cluster["name"]: cluster for cluster in envoy["static_resources"]["clusters"]}
    for pool in POOLS:
        [locality] = clusters[pool]["load_assignment"]["endpoints"]
        address = locality["lb_endpoints"][0]["endpoint"]["address"]["socket_address"]
        service = services[address["address"]]
        assert service["spec"]["clusterIP"] == "None"
        assert address["port_value"] in [port["port"] for port in service["spec"]["ports"]]
        labels = deployments[f"zfnet-{pool}"]["spec"]["template"]["metadata"]["labels"]
        assert service["spec"]["selector"].items() <= labels.items()
        assert labels["app.kubernetes.io/component"] == pool
    [config] = [data for name, data in of_kind(cpu, "ConfigMap").items() if name.startswith("zfnet-gateway-")]
    assert yaml.safe_load(config["data"]["envoy.yaml"]) == envoy
    opened = [port["port"] for port in _network_ports(cpu)]
    assert set(opened) == {"http", "metrics", "https", "internal", 8080, 53}
    exposed = [port["containerPort"] for one in deployments.values() for port in server(one)["ports"]]
    assert ServerOptions().management_port not in exposed


def test_each_port_is_open_to_those_alone_who_need_it(cpu: list[Manifest]) -> None:
    """The servers ask for no token: whoever reaches their port is let in."""
    policies, deployments = of_kind(cpu, "NetworkPolicy"), of_kind(cpu, "Deployment")
    assert set(policies) == {"zfnet-nobody", "zfnet-servers", "zfnet-gateway"}

    def selected(selector: Manifest) -> list[str]:
        return [
            name
            for name, deployment in deployments.items()
            if _selects(selector, deployment["spec"]["template"]["metadata"]["labels"])
        ]

    def ways(name: str, direction: str, peers: str) -> dict[Any, Any]:
        """Whom a port is open to, None being everybody: pods, or a namespace."""
        found: dict[Any, Any] = {}
        for way in policies[name]["spec"][direction]:
            [peer] = way.get(peers, [{}])
            [who] = [selected(one) if kind == "podSelector" else one for kind, one in peer.items()] or [None]
            found |= {port["port"]: who for port in way["ports"]}
        return found

    def namespace(name: str) -> Manifest:
        return {"matchLabels": {"kubernetes.io/metadata.name": name}}

    servers = [f"zfnet-{pool}" for pool in sorted(POOLS)]
    assert sorted(selected(policies["zfnet-servers"]["spec"]["podSelector"])) == servers
    assert policies["zfnet-servers"]["spec"]["policyTypes"] == ["Ingress"], "they ask nobody"
    monitoring = namespace("monitoring")
    assert ways("zfnet-servers", "ingress", "from") == {"http": ["zfnet-gateway"], "metrics": monitoring}
    assert selected(policies["zfnet-gateway"]["spec"]["podSelector"]) == ["zfnet-gateway"]
    assert ways("zfnet-gateway", "ingress", "from") == {"https": None, "internal": monitoring}
    out = ways("zfnet-gateway", "egress", "to")
    assert (sorted(out.pop(8080)), out) == (servers, {53: namespace("kube-system")})


def test_the_gateway_sees_its_clients_addresses(cpu: list[Manifest]) -> None:
    service = of_kind(cpu, "Service")["zfnet-gateway"]["spec"]
    assert (service["type"], service["externalTrafficPolicy"]) == ("LoadBalancer", "Local")


def test_what_no_policy_names_is_closed(cpu: list[Manifest]) -> None:
    policies = of_kind(cpu, "NetworkPolicy")
    closed = policies["zfnet-nobody"]["spec"]
    assert closed["policyTypes"] == ["Ingress", "Egress"]
    assert not {"ingress", "egress"} & set(closed)
    for deployment in of_kind(cpu, "Deployment").values():
        labels = deployment["spec"]["template"]["metadata"]["labels"]
        assert closed["podSelector"]["matchLabels"].items() <= labels.items()


def test_autoscalers_ask_for_metrics_that_the_adapter_supplies(cpu: list[Manifest]) -> None:
    asked = {
        metric["pods"]["metric"]["name"]
        for scaler in of_kind(cpu, "HorizontalPodAutoscaler").values()
        for metric in scaler["spec"]["metrics"]
    }
    assert asked == {rule["name"]["as"] for rule in _adapter_rules()}
    for name, scaler in of_kind(cpu, "HorizontalPodAutoscaler").items():
        assert scaler["spec"]["scaleTargetRef"]["name"] == name
        assert "replicas" not in of_kind(cpu, "Deployment")[name]["spec"], "the autoscaler's to say"


def test_the_adapter_s_metrics_have_the_values_that_they_should(tmp_path: Path) -> None:
    matchers, by = 'namespace="zfnet",pod=~"a|b|c"', "pod"
    expressions = {
        rule["name"]["as"]: rule["metricsQuery"].replace("<<.LabelMatchers>>", matchers).replace("<<.GroupBy>>", by)
        for rule in _adapter_rules()
    }
    samples: dict[str, dict[str, float]] = {
        "zfnet_worker_utilization": {"a": 0.4, "b": 0, "c": 0},
        "zfnet_requests_in_hand": {"a": 1.5, "b": 0, "c": 0},
        "zfnet_requests_waiting": {"a": 2, "b": 0, "c": 0},
    }
    # A scrape every 15 s. Pod a's answers took 6 of them. A worker of it has had a request in hand for minutes, and
    # another has one every other time; 30 s of waiting are added: 2 requests at a time. Nobody asks b any more, and
    # nobody has asked c: it has the series by which the adapter finds pods, and no other.
    labels = '{job="zfnet", namespace="zfnet", %s}'
    series = {
        **{"zfnet_model_info" + labels % f'pod="{name}", version="1.0.0"': "1x40" for name in "abc"},
        "zfnet_requests_in_progress" + labels % 'pod="a", worker="9000"': "1x40",
        "zfnet_requests_in_progress" + labels % 'pod="a", worker="9001"': " ".join(["0 1"] * 21),
        "zfnet_requests_in_progress" + labels % 'pod="b", worker="9000"': "1x15 0x24",
        "zfnet_request_duration_seconds_sum" + labels % 'pod="a", endpoint="predict"': "0+2x40",
        "zfnet_request_duration_seconds_sum" + labels % 'pod="a", endpoint="explain"': "0+4x40",
        "zfnet_request_duration_seconds_sum" + labels % 'pod="b", endpoint="explain"': "7x40",
        "ts_queue_latency_microseconds" + labels % 'pod="a", model_name="zfnet"': "0+30000000x40",
        "ts_queue_latency_microseconds" + labels % 'pod="b", model_name="zfnet"': "1000x40",
    }
    assert {rule["seriesQuery"] for rule in _adapter_rules()} == {'zfnet_model_info{namespace!="",pod!=""}'}
    tests = {
        "tests": [
            {
                "interval": "15s",
                "input_series": [{"series": name, "values": values} for name, values in series.items()],
                "promql_expr_test": [
                    {
                        "expr": f"round({expressions[name]}, 1e-6)",
                        "eval_time": "10m5s",  # between scrapes: a range has both its ends with some versions alone
                        "exp_samples": [{"labels": f'{{pod="{p}"}}', "value": value} for p, value in values.items()],
                    }
                    for name, values in samples.items()
                ],
            }
        ]
    }
    (tmp_path / "test.yaml").write_text(yaml.safe_dump(tests))
    command = [program("promtool"), "test", "rules", str(tmp_path / "test.yaml")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_finds_the_pools_under_the_names_of_the_rules(cpu: list[Manifest]) -> None:
    [monitor] = of_kind(cpu, "ServiceMonitor").values()
    selector, [endpoint] = monitor["spec"]["selector"], monitor["spec"]["endpoints"]
    [expression] = selector["matchExpressions"]
    found = {
        name: service["metadata"]["labels"]
        for name, service in of_kind(cpu, "Service").items()
        if selector["matchLabels"].items() <= service["metadata"]["labels"].items()
        and service["metadata"]["labels"][expression["key"]] in expression["values"]
    }
    assert sorted(found) == ["zfnet-explain", "zfnet-predict"]
    assert endpoint["port"] in [port["name"] for port in of_kind(cpu, "Service")["zfnet-predict"]["spec"]["ports"]]
    config = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())
    job, pool, own = endpoint["relabelings"]
    assert own == {"action": "labeldrop", "regex": "endpoint"}
    assert any("endpoint" in metric.labels for metric in METRICS), "which the operator's label would rename"
    assert job["replacement"] == config["scrape_configs"][0]["job_name"]
    [source] = pool["sourceLabels"]
    label = re.sub(r"\W", "_", expression["key"])
    assert (source, pool["targetLabel"]) == (f"__meta_kubernetes_service_label_{label}", "pool")
    composed = yaml.safe_load((DEPLOY / "compose" / "prometheus.yml").read_text())["scrape_configs"][0]
    pools = {static["labels"]["pool"] for static in composed["static_configs"]}
    assert {labels[expression["key"]] for labels in found.values()} == pools == set(POOLS)


def test_prometheus_finds_the_gateway_under_the_name_of_the_rules(cpu: list[Manifest]) -> None:
    [monitor] = of_kind(cpu, "PodMonitor").values()
    [endpoint] = monitor["spec"]["podMetricsEndpoints"]
    selected = monitor["spec"]["selector"]["matchLabels"]
    found = [
        name
        for name, deployment in of_kind(cpu, "Deployment").items()
        if selected.items() <= deployment["spec"]["template"]["metadata"]["labels"].items()
    ]
    assert found == ["zfnet-gateway"]
    assert endpoint["port"] in [port["name"] for port in server(of_kind(cpu, "Deployment")["zfnet-gateway"])["ports"]]
    composed = yaml.safe_load((DEPLOY / "compose" / "prometheus.yml").read_text())["scrape_configs"][1]
    [static] = composed["static_configs"]
    given = {one["targetLabel"]: one["replacement"] for one in endpoint["relabelings"]}
    assert given == {"job": composed["job_name"]} | static["labels"]
    assert static["labels"] == {"pool": "gateway"}, "by which the rules know it"


@pytest.mark.parametrize("name", ["rules", "alerts"])
def test_the_operator_s_rules_are_those_of_prometheus(cpu: list[Manifest], name: str) -> None:
    spec = of_kind(cpu, "PrometheusRule")[f"zfnet-{name}"]["spec"]
    written = yaml.safe_load((DEPLOY / "prometheus" / f"{name}.yaml").read_text())
    assert spec == written, "docs/deployment.md has the command that copies them"


def test_the_sidecar_of_grafana_finds_every_dashboard(cpu: list[Manifest]) -> None:
    dashboards = of_kind(cpu, "ConfigMap")["zfnet-dashboards"]
    assert dashboards["metadata"]["labels"]["grafana_dashboard"] == "1"
    files = {path.name: path.read_text() for path in (DEPLOY / "grafana" / "dashboards").iterdir()}
    assert dashboards["data"] == files


def _route(pool: str) -> dict[str, Any]:
    _, routes = routes_of(yaml.safe_load((FILES / "envoy.yaml").read_text()))
    route: dict[str, Any] = routes[pool]["route"]
    return route


def _adapter_rules() -> list[dict[str, Any]]:
    adapter = yaml.safe_load((DEPLOY / "kubernetes" / "prometheus-adapter.yaml").read_text())
    rules: list[dict[str, Any]] = adapter["rules"]["custom"]
    return rules


def _selects(selector: Manifest, labels: dict[str, str]) -> bool:
    """Whether a selector takes a pod with these labels."""
    for expression in selector.get("matchExpressions", []):
        assert expression["operator"] == "In"
        if labels.get(expression["key"]) not in expression["values"]:
            return False
    return bool(selector.get("matchLabels", {}).items() <= labels.items())


def _network_ports(manifests: list[Manifest]) -> list[Manifest]:
    policies = of_kind(manifests, "NetworkPolicy").values()
    ways = [way for policy in policies for key in ("ingress", "egress") for way in policy["spec"].get(key, [])]
    return [port for way in ways for port in way["ports"]]
