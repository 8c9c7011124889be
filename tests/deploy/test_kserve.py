"""The InferenceService, and its servers' arguments as KServe completes them."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft4Validator

from zfnet_explainer.torchserve.archive import MODEL

from .manifests import KSERVE, Manifest, built, gib, java_options, memory_needed, of_kind, serve_options

# From KServe's CRD (Apache-2.0): openAPIV3Schema of v1beta1 without its descriptions.
SCHEMA = Path(__file__).with_name("kserve-v1beta1.json.gz")
# What KServe's controller appends to the arguments of an explainer's container.
APPENDED = ["--model_name", "zfnet", "--predictor_host", "zfnet-predictor.default", "--http_port", "8080"]
WORKERS = ["--workers", "2"]  # where containerConcurrency is set


@pytest.fixture(params=KSERVE)
def service(request: pytest.FixtureRequest) -> Manifest:
    [service] = of_kind(built(f"kserve/{request.param}"), "InferenceService").values()
    return service


def test_it_is_valid(service: Manifest) -> None:
    schema = closed(json.loads(gzip.decompress(SCHEMA.read_bytes())))
    errors = [f"{list(error.path)}: {error.message}" for error in Draft4Validator(schema).iter_errors(service)]
    assert errors == []


def closed(schema: Any) -> Any:
    """The schema with unknown fields refused, which Kubernetes would silently drop."""
    if isinstance(schema, list):
        return [closed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {key: closed(one) for key, one in schema.items()}
    lists_all = "properties" in schema and not schema.get("x-kubernetes-preserve-unknown-fields")
    return {"additionalProperties": False, **inner} if lists_all and "type" in schema else inner


@pytest.mark.parametrize("component", ["predictor", "explainer"])
def test_servers_have_a_port_a_volume_and_arguments_they_know(service: Manifest, component: str) -> None:
    spec = service["spec"][component]
    [container] = spec["containers"]
    assert container["name"] == "kserve-container"
    assert [port["containerPort"] for port in container["ports"]] == [8080], "Knative takes one"
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert container["volumeMounts"] == [{"name": "run", "mountPath": "/run/zfnet"}]
    assert spec["volumes"][0]["name"] == "run"
    assert container["readinessProbe"]["exec"]["command"] == ["zfnet-health", "--run-dir", "/run/zfnet", "ready"]
    assert memory_needed(java_options(container)) <= gib(container["resources"]["limits"]["memory"])
    options = serve_options(container["args"] + (APPENDED if component == "explainer" else []))
    assert options["model_name"] == service["metadata"]["name"] == MODEL
    assert (options["port"], options["open_"]) == (8080, True)
    assert options["drain_seconds"] == spec["timeout"], "Knative's for a request, and the pod's grace"


def test_a_concurrency_that_kserve_appends_is_a_number_of_workers() -> None:
    assert serve_options(["--open", *APPENDED, *WORKERS])["workers"] == 2


def test_the_overlays_change_what_they_say() -> None:
    services = {name: of_kind(built(f"kserve/{name}"), "InferenceService")["zfnet"]["spec"] for name in KSERVE}
    for component in ("predictor", "explainer"):
        base, canary, zero = (services[name][component] for name in KSERVE)
        assert (base["minReplicas"], zero["minReplicas"]) == (1, 0)
        assert "canaryTrafficPercent" not in base
        assert canary["canaryTrafficPercent"] == 10
        assert canary["containers"][0]["image"] != base["containers"][0]["image"]
