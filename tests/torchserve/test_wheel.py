"""An installed package serves from any folder: what the project comes with is in its wheel."""

import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from zfnet_explainer.torchserve.archive import WorkerOptions, archive_members
from zfnet_explainer.torchserve.devices import Device

PROJECT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel's files, as pip lays them out."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(command, cwd=PROJECT, check=True, capture_output=True)
    [wheel] = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(folder / "site")
    return folder / "site"


def ask(installed: Path, *arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the installed command in a folder where nothing of the project is."""
    script = "from zfnet_explainer.commands import main; print(main.__file__, flush=True); main.app()"
    command = [sys.executable, "-c", script, *arguments]
    environment = os.environ | {"PYTHONPATH": str(installed), "PYTHONSAFEPATH": "1", "COLUMNS": "200"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_it_packages_the_same_archive_as_the_checkout(installed: Path, tmp_path: Path) -> None:
    done = ask(installed, "package", "--out", "zfnet.mar", "--device", "cpu", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(str(installed)), "the checkout's own code was asked"
    ours = archive_members(PROJECT / "model_store" / "zfnet.safetensors", WorkerOptions(device=Device.CPU))
    with zipfile.ZipFile(tmp_path / "zfnet.mar") as packed:
        assert {name: packed.read(name) for name in ours} == ours


def test_it_brings_the_terms_of_all_that_it_holds(installed: Path) -> None:
    [described] = installed.glob("*.dist-info")
    told = (described / "METADATA").read_text()
    licences = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["license"]
    assert f"\nLicense-Expression: {licences}\n" in told
    files = [PROJECT / "LICENSE", *(PROJECT / "LICENSES").iterdir()]
    named = {str(file.relative_to(PROJECT)): file.read_bytes() for file in files}
    assert set(re.findall(r"^License-File: (.+)$", told, re.MULTILINE)) == named.keys()
    assert {name: (described / "licenses" / name).read_bytes() for name in named} == named


def test_its_types_are_for_whoever_uses_it(installed: Path) -> None:
    assert (installed / "zfnet_explainer" / "py.typed").is_file()


def test_it_holds_no_build_and_no_test(installed: Path) -> None:
    tops = {path.relative_to(installed).parts[0] for path in installed.rglob("*.py")}
    assert tops == {"zfnet_explainer", "zfnet_handler.py"}
    assert not list(installed.rglob("*.mar"))
