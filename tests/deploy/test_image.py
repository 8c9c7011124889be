"""The container image: its recipe, and the container itself where one has been built."""

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from zfnet_explainer.torchserve.config import MAX_ANSWER_BYTES
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


@pytest.mark.parametrize("cpu_wheels", ["", "https://wheels.example.com/cpu"])
def test_every_pin_is_in_one_of_three_lists(tmp_path: Path, cpu_wheels: str) -> None:
    """With an index for the CPU alone, all but CUDA's and Triton's."""
    [command] = re.findall(r"^RUN (if .+? > rest\.txt)$", DOCKERFILE.read_text(), re.MULTILINE | re.DOTALL)
    shutil.copy(DEPLOY / "constraints.txt", tmp_path)
    wanted = (tmp_path / "constraints.txt").read_text().splitlines()
    subprocess.run(["sh", "-c", command], cwd=tmp_path, env={**os.environ, "CPU_WHEELS": cpu_wheels}, check=True)
    cuda, torch, rest = ((tmp_path / f"{name}.txt").read_text().splitlines() for name in ("cuda", "torch", "rest"))
    of_cuda = [pin for pin in wanted if pin.startswith(("cuda-", "nvidia-"))]
    of_torch = [pin for pin in wanted if pin.startswith(("torch==", "torchvision==", "triton=="))]
    assert (len(of_torch), len(of_cuda) > 10) == (3, True)
    assert cuda == ([] if cpu_wheels else of_cuda)
    assert torch == (of_torch[:2] if cpu_wheels else of_torch)
    assert rest == [pin for pin in wanted if pin not in of_cuda + of_torch]


def test_torch_comes_from_the_index_that_is_named() -> None:
    """An ARG holds within its stage, from its line on."""
    _, _, stage = re.split(r"^FROM .+\n", DOCKERFILE.read_text(), flags=re.MULTILINE)
    before, install, _ = stage.partition('${CPU_WHEELS:+--index-url "${CPU_WHEELS}"} -r /pins/torch.txt\n')
    assert install
    assert "ARG CPU_WHEELS=\n" in before


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
    assert int(limit) == MAX_ANSWER_BYTES


def test_the_constraints_hold_all_that_the_project_needs() -> None:
    project = tomllib.loads((SHIPPED / "pyproject.toml").read_text())["project"]
    lines = (DEPLOY / "constraints.txt").read_text().splitlines()
    pinned = dict(line.split("==") for line in lines)
    for requirement in map(Requirement, project["dependencies"]):
        assert requirement.specifier.contains(pinned[requirement.name.lower()]), requirement
    assert not any("/" in line or "-i" in line.split() for line in lines), "no index is named"
