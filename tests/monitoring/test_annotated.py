"""Pods that Prometheus finds by their annotations: those that KServe writes, scraped under their port and path."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from zfnet_explainer.torchserve.server import RunningServer

from ..deploy.upstream import Reply, Upstream, running_upstream
from ..needs import needs
from ..waiting import wait_for
from .boards import DEPLOY
from .prometheus import Prometheus, config_of, running_prometheus

pytestmark = [pytest.mark.slow, needs("prometheus")]

SERVICE = yaml.safe_load((DEPLOY / "kserve" / "base" / "inferenceservice.yaml").read_text())
META = "__meta_kubernetes_"


def annotated() -> dict[str, str]:
    """What KServe's controller writes on a pod of the InferenceService that asks to be scraped."""
    asked = SERVICE["metadata"]["annotations"]
    assert asked["serving.kserve.io/enable-prometheus-scraping"] == "true"
    return {"scrape": "true", **{name: asked[f"prometheus.kserve.io/{name}"] for name in ("port", "path")}}


def pod(name: str, address: str, annotations: dict[str, str], phase: str = "Running") -> dict[str, Any]:
    """A target as Kubernetes' discovery has it: a port that the pod declares, and all else as labels."""
    said = {f"{META}pod_annotation_prometheus_io_{key}": value for key, value in annotations.items()}
    labels = {f"{META}pod_name": name, f"{META}namespace": "zfnet", f"{META}pod_phase": phase, **said}
    return {"targets": [address], "labels": labels}


@pytest.fixture
def other() -> Iterator[Upstream]:
    """Metrics of something else, under a path of its own."""
    with running_upstream() as running:
        running.reply = Reply(200, "text/plain; version=0.0.4", b"other_up 1\n")
        yield running


@pytest.fixture
def prometheus(tmp_path: Path, server: RunningServer, other: Upstream) -> Iterator[Prometheus]:
    """One that finds four pods in a file, two of which want to be scraped and run."""
    port = server.metrics_url.rpartition(":")[2]
    serving = server.inference_url.removeprefix("http://")  # what a pod declares is its port for requests
    host, _, elsewhere = other.address.rpartition(":")
    pods = [
        pod("zfnet-predictor", serving, {**annotated(), "port": port}),
        pod("zfnet-predictor", serving.replace(":", ":1"), {**annotated(), "port": port}),
        pod("other", host, {"scrape": "true", "port": elsewhere, "path": "/its/own"}),
        pod("silent", other.address, {}),
        pod("done", other.address, {"scrape": "true", "port": elsewhere, "path": "/done"}, "Succeeded"),
    ]
    (tmp_path / "pods.json").write_text(json.dumps(pods))
    config = config_of("kubernetes.yml")
    [job] = config["scrape_configs"]
    assert job.pop("kubernetes_sd_configs") == [{"role": "pod"}]
    job["file_sd_configs"] = [{"files": [str(tmp_path / "pods.json")]}]
    with running_prometheus(tmp_path, config) as running:
        yield running


def test_it_is_scraped_where_its_annotations_say(
    prometheus: Prometheus, server: RunningServer, other: Upstream
) -> None:
    wait_for(lambda: len(prometheus.query("up == 1")) == 2, "not both are scraped")
    where = {"job": "kubernetes-pods", "namespace": "zfnet"}
    [(labels, _)] = prometheus.query("zfnet_model_info")
    assert (
        labels.items()
        >= {**where, "pod": "zfnet-predictor", "instance": server.metrics_url.removeprefix("http://")}.items()
    )
    [(labels, _)] = prometheus.query("other_up")
    assert labels == {**where, "__name__": "other_up", "pod": "other", "instance": other.address}
    assert {seen.path for seen in other.seen} == {"/its/own"}
    assert len(prometheus.query("up")) == 2, "one target a pod, and none of the others"


def test_the_annotated_port_is_where_the_server_tells_its_metrics() -> None:
    lines = (DEPLOY / "config.properties").read_text().splitlines()
    [address] = [line for line in lines if line.startswith("metrics_address=")]
    assert address.endswith(f":{annotated()['port']}")
