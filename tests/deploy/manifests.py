"""What kubectl makes of deploy/, and the command lines in it as the programs read them."""

import re
import subprocess
from functools import cache
from typing import Any

import typer
import yaml

from zfnet_explainer.commands.main import app
from zfnet_explainer.torchserve.shipped import SHIPPED

from ..needs import program

DEPLOY = SHIPPED / "deploy"
OVERLAYS = ("cpu", "gpu", "gpu-mig", "gpu-shared")
KSERVE = ("base", "canary", "scale-to-zero")
POOLS = ("predict", "explain")
# docs/operations.md: a worker after all kinds of requests, and a large picture; Java without what its options bound.
WORKER_GIB, JAVA_GIB = 2.0 + 0.8, 0.3
CUDA_GIB = 5  # the same page: a server with GPUs has 6 + 2 n where one without has 1 + 2 n

Manifest = dict[str, Any]


@cache
def built(folder: str) -> list[Manifest]:
    """The objects of a kustomization, named by its path in deploy/."""
    command = [program("kubectl"), "kustomize", str(DEPLOY / folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return list(yaml.safe_load_all(done.stdout))


def of_kind(manifests: list[Manifest], kind: str) -> dict[str, Manifest]:
    """Those of a kind, by name."""
    return {one["metadata"]["name"]: one for one in manifests if one["kind"] == kind}


def pod(deployment: Manifest) -> Manifest:
    spec: Manifest = deployment["spec"]["template"]["spec"]
    return spec


def server(deployment: Manifest) -> Manifest:
    """The only container of a Deployment."""
    [container] = pod(deployment)["containers"]
    assert isinstance(container, dict)
    return container


def gib(quantity: str) -> float:
    """Kubernetes' Gi, or Java's m and g, in GiB."""
    number, unit = re.findall(r"^(\d+)(Gi|g|m)$", quantity)[0]
    return int(number) / (1024 if unit == "m" else 1)


def java_options(container: Manifest) -> str:
    [options] = [one["value"] for one in container["env"] if one["name"] == "JDK_JAVA_OPTIONS"]
    assert isinstance(options, str)
    return options


def memory_needed(java: str) -> float:
    """GiB that one worker and Java take at most, Java's heap and direct memory as its options bound them."""
    [(heap, direct)] = re.findall(r"^-Xmx(\w+) -XX:MaxDirectMemorySize=(\w+)$", java)
    assert gib(heap) < gib(direct), "else requests are lost without an error: docs/operations.md"
    return JAVA_GIB + gib(heap) + gib(direct) + WORKER_GIB


def serve_options(arguments: list[str]) -> Manifest:
    """What `zfnet-explainer serve` reads in the arguments; one that it does not know fails here."""
    command = typer.main.get_command(app)
    context = command.make_context("zfnet-explainer", ["serve", *arguments], resilient_parsing=False)
    subcommand = command.get_command(context, "serve")  # type: ignore[attr-defined]
    return dict(subcommand.make_context("serve", [*arguments]).params)  # which it empties
