"""What kubectl makes of deploy/, and the command lines in it as the programs read them."""

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


def serve_options(arguments: list[str]) -> Manifest:
    """What `zfnet-explainer serve` reads in the arguments; one that it does not know fails here."""
    command = typer.main.get_command(app)
    context = command.make_context("zfnet-explainer", ["serve", *arguments], resilient_parsing=False)
    subcommand = command.get_command(context, "serve")  # type: ignore[attr-defined]
    return dict(subcommand.make_context("serve", [*arguments]).params)  # which it empties
