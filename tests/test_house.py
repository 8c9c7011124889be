"""The house's order: imports run one way, and each room knows only what it may."""

import ast
import subprocess
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from zfnet_explainer.torchserve.archive import FOR_WORKERS

HANDLERS = Path(__file__).parents[1] / "handlers"
PACKAGE = "zfnet_explainer"
# Rooms from the ground up: a room imports from those of lower floors alone.
FLOORS = (
    {"atomic", "cores", "messages"},
    {"net", "printing"},
    {"methods"},
    {"errors", "explanation", "options"},  # the mathematics knows no refusals of requests
    {"pictures", "crosscheck"},
    {"explainer", "accuracy"},
    {"wire"},
    {"service", "training"},
    {"torchserve"},
    {"zfnet_handler", "studies"},
    {"commands"},
)
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
PICTURE_LIBRARIES = {"PIL", "matplotlib", "torchvision", "cv2"}
HTTP = {"httpx", "http", "urllib", "ts"}
# What each room knows of these; the rooms that are not here know none.
KNOWS = {
    "pictures": {"PIL", "matplotlib"},
    "training": {"torchvision"},
    "torchserve": {"httpx", "http"},
    "service": {"http"},  # the names of its statuses
    "zfnet_handler": {"ts"},
    "studies": {"PIL", "matplotlib", "torchvision", "httpx"},
    "commands": {"PIL", "matplotlib", "httpx"},
}


def modules() -> dict[str, Path]:
    """Every module of the project by its dotted name; a package by its own."""
    found = {}
    for path in sorted(HANDLERS.rglob("*.py")):
        parts = path.relative_to(HANDLERS).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def imported(name: str) -> Iterator[str]:
    """What a module imports, anywhere in it: modules of the project by their dotted names, else as written."""
    path = MODULES[name]
    package = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            source = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                full = f"{source}.{alias.name}"
                yield full if full in MODULES else source


def room(name: str) -> str:
    """`net` for zfnet_explainer.net.chain; the door for itself."""
    return name.split(".")[1] if name.startswith(f"{PACKAGE}.") else name


INSIDE = [name for name in MODULES if room(name) in FLOOR]


def test_every_module_has_a_room() -> None:
    assert set(MODULES) - set(INSIDE) == {PACKAGE}
    assert {room(name) for name in INSIDE} == set(FLOOR)


@pytest.mark.parametrize("name", INSIDE)
def test_imports_run_down(name: str) -> None:
    for other in imported(name):
        if other in MODULES and room(other) != room(name):
            assert FLOOR[room(other)] < FLOOR[room(name)], f"{name} imports {other}"


def test_there_is_no_cycle() -> None:
    graph = {name: {other for other in imported(name) if other in MODULES and other != name} for name in MODULES}
    assert list(TopologicalSorter(graph).static_order())


def of(*rooms: str) -> Iterator[tuple[str, set[str]]]:
    """Modules of some rooms and the top-level packages that they import."""
    for name in INSIDE:
        if room(name) in rooms:
            yield name, {other.partition(".")[0] for other in imported(name)}


@pytest.mark.parametrize("one", sorted(FLOOR))
def test_a_room_knows_pictures_and_http_where_that_is_its_matter(one: str) -> None:
    known = set().union(*(packages for _, packages in of(one)))
    assert known & (PICTURE_LIBRARIES | HTTP) == KNOWS.get(one, set())


def test_what_travels_needs_nothing_that_stays() -> None:
    """A worker has the rooms that its archive holds, and no others."""
    travels = {Path(member).stem for member in FOR_WORKERS} - {"__init__"}
    assert travels <= set(FLOOR)
    for name in INSIDE:
        if room(name) in travels:
            assert {room(other) for other in imported(name) if other in MODULES} <= travels, name


def test_the_tracked_tree_is_small() -> None:
    """What everybody downloads who clones it; weights and pictures are most of it."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=HANDLERS.parent, check=True, capture_output=True).stdout
    files = [HANDLERS.parent / name for name in listed.decode().split("\0") if name]
    assert len(files) > 400
    assert sum(path.lstat().st_size for path in files if path.exists()) < 20 * 2**20
