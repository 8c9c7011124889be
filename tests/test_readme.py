"""What the README says of packages is what the code imports and what pyproject.toml admits."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

from packaging.requirements import Requirement

from zfnet_explainer.torchserve.archive import FOR_WORKERS, HANDLER

ROOT = Path(__file__).parents[1]
HANDLERS = ROOT / "handlers"
OURS = {"zfnet_explainer", "ts"}  # what the archive brings, and the TorchServe that loads it
UNDECLARED = {"pyyaml"}  # TorchServe needs it and does not say so


def imported(path: Path) -> Iterator[str]:
    """The top packages that a module imports by their full names, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def test_a_torchserve_of_ones_own_is_told_every_package_of_a_worker_and_its_floor() -> None:
    rooms = [HANDLERS / "zfnet_explainer" / name for name in FOR_WORKERS]
    modules = [HANDLERS / HANDLER, *(path for room in rooms for path in [room, *room.rglob("*.py")] if path.is_file())]
    names = {name for path in modules for name in imported(path)} - OURS - sys.stdlib_module_names
    distributions = packages_distributions()
    needed = UNDECLARED | {distribution.lower() for name in names for distribution in distributions[name]}
    dependencies = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    section = (ROOT / "README.md").read_text().partition("\n## In a TorchServe of your own\n")[2].partition("\n## ")[0]
    told = sorted(re.findall(r"'([a-z0-9]+>=[0-9.]+)'", section))
    assert told == sorted(text for text in dependencies if Requirement(text).name.lower() in needed)
