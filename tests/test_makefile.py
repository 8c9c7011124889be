"""What make does with an environment that is not as it should be, with a Python that only pretends."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from .needs import program

ROOT = Path(__file__).parents[1]
# Makes an environment whose Python writes down what it is asked for; one without pip where a file `no-pip` lies, as
# Debian's does where the package with venv's pip is missing.
PYTHON = """#!/bin/sh
[ "$1" = -c ] && exit 0
mkdir -p .venv/bin
cat > real <<'END'
#!/bin/sh
[ "$1" = -c ] && { echo runs; exit 0; }
[ ! -e half ] || { echo "No module named pip" >&2; exit 1; }
echo "$@" >> asked
END
chmod +x real
ln -sf ../../real .venv/bin/python
rm -f half
[ ! -e no-pip ] || { touch half; exit 1; }
"""
TOOL = """#!/bin/sh
for one; do echo "<$one>"; done > asked
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "python").write_text(PYTHON)
    (tmp_path / "python").chmod(0o755)
    return tmp_path


def make(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    command = [program("make"), "PYTHON=./python", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def asked(folder: Path) -> str:
    """What the environment's Python or tool was asked for since the last time."""
    found = (folder / "asked").read_text() if (folder / "asked").exists() else ""
    (folder / "asked").unlink(missing_ok=True)
    return found


def test_an_environment_that_could_not_be_made_is_made_the_next_time(folder: Path) -> None:
    (folder / "no-pip").touch()
    assert make(folder, "install").returncode != 0
    assert asked(folder) == "", "nothing is installed into half an environment"
    (folder / "no-pip").unlink()
    assert make(folder, "install").returncode == 0
    assert "pip install" in asked(folder)


def test_an_environment_whose_python_is_gone_is_made_and_filled_anew(folder: Path) -> None:
    assert make(folder, "install").returncode == 0
    assert "pip install" in asked(folder)
    assert make(folder, "install").returncode == 0
    assert asked(folder) == "", "once is enough"
    (folder / "real").unlink()
    assert make(folder, "install").returncode == 0
    assert "pip install" in asked(folder)


def test_accuracy_takes_a_folder_with_a_space_and_asks_for_one_that_is_missing(folder: Path) -> None:
    make(folder, "install")
    tool = folder / ".venv" / "bin" / "zfnet-explainer"
    tool.write_text(TOOL)
    tool.chmod(0o755)
    asked(folder)
    assert make(folder, "accuracy", "DATA=my pictures").returncode == 0
    assert "<my pictures>" in asked(folder)
    missing = make(folder, "accuracy")
    assert missing.returncode == 2
    assert "make accuracy DATA=folder" in missing.stderr


def test_clean_leaves_no_cache_that_git_ignores() -> None:
    ignored = {line.strip("/") for line in (ROOT / ".gitignore").read_text().splitlines()}
    caches = {name for name in ignored if name.startswith(".")}
    assert {".venv", ".hypothesis"} < caches
    assert caches <= set(make(ROOT, "--dry-run", "clean").stdout.split())


def test_coverage_is_measured_of_some_tests_too(folder: Path) -> None:
    said = make(folder, "--dry-run", "coverage", "ARGS=-k occlusion").stdout
    assert " -k occlusion --cov " in said
