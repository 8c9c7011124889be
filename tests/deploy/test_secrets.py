"""The gateway's two Secrets, by the commands of docs/deployment.md."""

import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import trustme
import yaml

from ..needs import program
from .gateway import write_certificate
from .manifests import DEPLOY, built, of_kind, pod

GUIDE = (DEPLOY.parent / "docs" / "deployment.md").read_text()
COMMANDS = re.findall(
    r"^    kubectl (-n zfnet create secret .+?)(?: +#.*| \| kubectl replace -f -)?$", GUIDE, re.MULTILINE
)
DRY = "--dry-run=client -o yaml"


def mounted() -> dict[str, str]:
    """Where the gateway has its Secrets, by their names."""
    spec = pod(of_kind(built("kubernetes/overlays/cpu"), "Deployment")["zfnet-gateway"])
    [container] = spec["containers"]
    paths = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    return {one["secret"]["secretName"]: paths[one["name"]] for one in spec["volumes"] if "secret" in one}


def made(command: str, folder: Path) -> dict[str, Any]:
    """The Secret that a command would make of the files in a folder."""
    line = [program("kubectl"), *shlex.split(f"{command.removesuffix(DRY)} {DRY}")]
    done = subprocess.run(line, cwd=folder, capture_output=True, text=True, check=True)
    secret: dict[str, Any] = yaml.safe_load(done.stdout)
    return secret


@pytest.mark.parametrize("replaced", [False, True])
def test_the_guide_makes_and_replaces_what_the_gateway_mounts(tmp_path: Path, replaced: bool) -> None:
    write_certificate(tmp_path, trustme.CA())
    (tmp_path / "keys.yaml").touch()
    secrets = [made(command, tmp_path) for command in COMMANDS if command.endswith(DRY) == replaced]
    assert {one["metadata"]["namespace"] for one in secrets} == {"zfnet"}
    read = re.findall(r"/etc/zfnet/(?:tls|keys)/[\w.]+", (DEPLOY / "gateway" / "tls.yaml").read_text())
    read += re.findall(r"(?<=path: )/etc/zfnet/keys/[\w.]+", (DEPLOY / "gateway" / "envoy.yaml").read_text())
    where = mounted()
    assert sorted(f"{where[one['metadata']['name']]}/{key}" for one in secrets for key in one["data"]) == sorted(read)
