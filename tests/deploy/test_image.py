"""The container image: its recipe, and the container itself where one has been built."""

import re
import subprocess
import tomllib
from pathlib import Path

from packaging.requirements import Requirement

from zfnet_explainer.torchserve.config import MAX_RESPONSE_BYTES
from zfnet_explainer.torchserve.shipped import SHIPPED

from ..needs import program
from .manifests import DEPLOY, serve_options

DOCKERFILE = DEPLOY / "Dockerfile"


def instruction(name: str) -> list[str]:
    """The arguments of an instruction in its JSON form."""
    [found] = re.findall(rf"^{name} (\[.*\])$", DOCKERFILE.read_text(), re.MULTILINE)
    return re.findall(r'"([^"]*)"', found)


def test_hadolint_finds_nothing() -> None:
    done = subprocess.run([program("hadolint"), str(DOCKERFILE)], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


def test_starts_the_server_with_arguments_it_knows() -> None:
    program, command, *arguments = instruction("ENTRYPOINT")
    assert (program, command) == ("zfnet-explainer", "serve")
    options = serve_options(arguments + instruction("CMD"))
    assert (options["host"], options["open_"]) == ("0.0.0.0", True)  # noqa: S104
    assert options["run_dir"] == Path("/run/zfnet")


def test_says_the_project_s_version() -> None:
    project = tomllib.loads((SHIPPED / "pyproject.toml").read_text())["project"]
    assert f"ARG VERSION={project['version']}\n" in DOCKERFILE.read_text()


def test_the_archive_inside_fills_the_limit_of_the_server() -> None:
    [limit] = re.findall(r"zfnet-explainer package --max-response-bytes (\d+)", DOCKERFILE.read_text())
    assert int(limit) == MAX_RESPONSE_BYTES - 2**20


def test_the_constraints_hold_all_that_the_project_needs() -> None:
    project = tomllib.loads((SHIPPED / "pyproject.toml").read_text())["project"]
    lines = (DEPLOY / "constraints.txt").read_text().splitlines()
    pinned = dict(line.split("==") for line in lines)
    for requirement in map(Requirement, project["dependencies"]):
        assert requirement.specifier.contains(pinned[requirement.name.lower()]), requirement
    assert not any("/" in line or "-i" in line.split() for line in lines), "no index is named"
