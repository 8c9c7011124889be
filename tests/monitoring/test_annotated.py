"""Pods that Prometheus finds without its operator: KServe's by their annotations, ours by labels and names of ports."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from zfnet_explainer.torchserve.server import RunningServer

from ..deploy.manifests import built, of_kind
from ..deploy.manifests import server as container_of
from ..deploy.upstream import Reply, Upstream, running_upstream
from ..needs import needs
from ..waiting import wait_for
from .boards import DEPLOY
from .prometheus import Prometheus, config_of, running_prometheus

pytestmark = [pytest.mark.slow, needs("prometheus")]

SERVICE = yaml.safe_load((DEPLOY / "kserve" / "base" / "inferenceservice.yaml").read_text())
META = "__meta_kubernetes_"


def annotated(component: str) -> dict[str, str]:
    """What the InferenceService has written on the pods of its predictor or its explainer."""
    annotations = SERVICE["spec"][component]["annotations"]
    ours = {name.partition("/")[2]: value for name, value in annotations.items() if name.startswith("prometheus.io/")}
    assert annotations["serving.kserve.io/enable-prometheus-scraping"] == "false", "else KServe names another port"
    return ours


def pod(name: str, address: str, annotations: dict[str, str], phase: str = "Running") -> dict[str, Any]:
    """A target as Kubernetes' discovery has it: a port that the pod declares, and all else as labels."""
    said = {f"{META}pod_annotation_prometheus_io_{key}": value for key, value in annotations.items()}
    labels = {f"{META}pod_name": name, f"{META}namespace": "zfnet", f"{META}pod_phase": phase, **said}
    return {"targets": [address], "labels": labels}


def deployed(name: str, addresses: dict[str, str]) -> list[dict[str, Any]]:
    """A pod of a Deployment, a target for each port that it declares; nothing listens at those without an address."""
    deployment = of_kind(built("kubernetes/overlays/cpu"), "Deployment")[name]
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    said = {f"{META}pod_label_" + re.sub(r"\W", "_", key): value for key, value in labels.items()}
    targets = []
    for port in container_of(deployment)["ports"]:
        target = pod(name, addresses.get(port["name"], f"127.0.0.1:{port['containerPort']}"), {})
        target["labels"] |= {**said, f"{META}pod_container_port_name": port["name"]}
        targets.append(target)
    return targets


@pytest.fixture
def other() -> Iterator[Upstream]:
    """Metrics of something else, under a path of its own."""
    with running_upstream() as running:
        running.reply = Reply(200, "text/plain; version=0.0.4", b"other_up 1\n")
        yield running


@pytest.fixture
def prometheus(tmp_path: Path, server: RunningServer, other: Upstream) -> Iterator[Prometheus]:
    """One that finds pods in files, two of which say that they want to be scraped and run, and two of ours."""
    port = server.metrics_url.rpartition(":")[2]
    serving = server.inference_url.removeprefix("http://")  # what a pod declares is its port for requests
    host, _, elsewhere = other.address.rpartition(":")
    pods = [
        pod("zfnet-predictor", serving, {**annotated("predictor"), "port": port}),
        pod("zfnet-predictor", serving.replace(":", ":1"), {**annotated("predictor"), "port": port}),
        pod("other", host, {"scrape": "true", "port": elsewhere, "path": "/its/own"}),
        pod("silent", other.address, {}),
        pod("done", other.address, {"scrape": "true", "port": elsewhere, "path": "/done"}, "Succeeded"),
    ]
    (tmp_path / "pods.json").write_text(json.dumps(pods))
    config = config_of("kubernetes.yml")
    ours, annotated_pods = config["scrape_configs"]
    assert annotated_pods.pop("kubernetes_sd_configs") == [{"role": "pod"}]
    annotated_pods["file_sd_configs"] = [{"files": [str(tmp_path / "pods.json")]}]
    (tmp_path / "ours.json").write_text(
        json.dumps(
            deployed("zfnet-predict", {"metrics": server.metrics_url.removeprefix("http://")})
            + deployed("zfnet-gateway", {"internal": other.address})
        )
    )
    assert ours.pop("kubernetes_sd_configs") == [{"role": "pod", "namespaces": {"names": ["zfnet"]}}]
    ours["file_sd_configs"] = [{"files": [str(tmp_path / "ours.json")]}]
    with running_prometheus(tmp_path, config) as running:
        yield running


def test_it_is_scraped_where_its_annotations_say(
    prometheus: Prometheus, server: RunningServer, other: Upstream
) -> None:
    wait_for(lambda: len(prometheus.query("up == 1")) == 4, "not all are scraped")
    where = {"job": "kubernetes-pods", "namespace": "zfnet"}
    [(labels, _)] = prometheus.query('zfnet_model_info{job="kubernetes-pods"}')
    assert (
        labels.items()
        >= {**where, "pod": "zfnet-predictor", "instance": server.metrics_url.removeprefix("http://")}.items()
    )
    [(labels, _)] = prometheus.query('other_up{job="kubernetes-pods"}')
    assert labels == {**where, "__name__": "other_up", "pod": "other", "instance": other.address}
    assert {seen.path for seen in other.seen} == {"/its/own", "/metrics"}, "the second is our gateway"
    [(server_labels, _)] = prometheus.query('zfnet_model_info{job="zfnet"}')
    assert (server_labels["pool"], server_labels["pod"]) == ("predict", "zfnet-predict")
    [(gateway_labels, _)] = prometheus.query('other_up{job="zfnet-gateway"}')
    assert (gateway_labels["pool"], gateway_labels["pod"]) == ("gateway", "zfnet-gateway")
    assert {labels["namespace"] for labels in (server_labels, gateway_labels)} == {"zfnet"}
    assert len(prometheus.query("up")) == 4, "one target a pod, and none of the others"


@pytest.mark.parametrize("component", ["predictor", "explainer"])
def test_the_annotated_port_is_where_the_server_tells_its_metrics(component: str) -> None:
    assert "annotations" not in SERVICE["metadata"], "KServe's own would name the port of Knative's proxy"
    lines = (DEPLOY / "config.properties").read_text().splitlines()
    [address] = [line for line in lines if line.startswith("metrics_address=")]
    assert address.endswith(f":{annotated(component)['port']}")
