"""Puts what `tools.gpu` measured into the tables of pages: `python -m tools.gpu.tables FOLDER --into PAGE ...`.

A table whose figures are not there says that they were not measured.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from zfnet_explainer.studies.speed.machine import Machine
from zfnet_explainer.studies.speed.results import OCCLUSION, PROJECTIONS, REQUESTS, RIVALS, Results
from zfnet_explainer.studies.tables import Table, rewrite

# Of the bench, by name, and their columns.
BENCH = {"occlusion": OCCLUSION, "rivals": RIVALS, "projections": PROJECTIONS, "requests": REQUESTS}
LOAD = "workers", "call", "clients", "answers/s", "median ms", "p99 ms"
TRAINING = "crops", "precision", "batch", "images/s"
TESTS = "passed", "failed", "skipped"
NOT_MEASURED = "Not measured on a card yet."
Figures = Mapping[str, Any]


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser("python -m tools.gpu.tables", description=__doc__)
    parser.add_argument("folder", type=Path, help="what `tools.gpu` wrote to with --out")
    parser.add_argument("--into", type=Path, action="append", required=True, help="a page; repeat for more")
    asked = parser.parse_args(arguments)
    if not any(asked.folder.glob("*.json")):  # pages would lose the figures that they have
        parser.error(f"{asked.folder} has no STAGE.json: name the folder that `tools.gpu` wrote to with --out")
    found = tables(asked.folder)
    for page in asked.into:
        rewrite(page, found)


def tables(folder: Path) -> list[Table]:
    """All tables; those of rehearsals and of stages without figures say that nothing was measured."""
    stages = {path.stem: json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))}
    found = {name: one["figures"] for name, one in stages.items() if "figures" in one and not one["tiny"]}
    bench = [found[name] for name in ("occlusion", "vgg16", "rivals") if name in found]
    bench += [found["served"]["bench"]] if "bench" in found.get("served", {}) else []
    measured = [table for one in map(Results.loaded, bench) for table in one.tables()]
    named = {title: [table for table in measured if table.name == f"bench-{title}"] for title in BENCH}
    machines = {str(Machine(**stages[name]["machine"])) for name in found}
    return [
        *(_joined(f"gpu-{name}", BENCH[name], some) for name, some in named.items()),
        _table("gpu-load", "Answers a second", LOAD, found.get("load"), _load, machines),
        _table("gpu-training", "Training", TRAINING, found.get("training"), _training, machines),
        _table("gpu-tests", "Tests", TESTS, found.get("tests"), _tests, machines),
    ]


def _joined(name: str, columns: tuple[str, ...], some: Sequence[Table]) -> Table:
    """The same table of several stages as one; each stage's note says on what, the first one's stays."""
    rows = tuple(row for table in some for row in table.rows)
    return Table(name, name, columns, rows, some[0].note if some else NOT_MEASURED)


def _table(
    name: str,
    title: str,
    columns: tuple[str, ...],
    figures: Figures | None,
    rows: Callable[[Figures], Iterable[tuple[str, ...]]],
    machines: Iterable[str],
) -> Table:
    if figures is None:
        return Table(name, title, columns, (), NOT_MEASURED)
    return Table(name, title, columns, tuple(rows(figures)), "; ".join(sorted(machines)) + ".")


def _load(figures: Figures) -> Iterator[tuple[str, ...]]:
    for layout in figures["layouts"]:
        for one in layout["points"]:
            yield (
                str(layout["workers"]), one["path"].split("/")[1], str(one["clients"]), f"{one['rate']:.1f}",
                f"{one['median_ms']:.1f}", f"{one['p99_ms']:.1f}",
            )  # fmt: skip


def _training(figures: Figures) -> Iterator[tuple[str, ...]]:
    for epoch in figures["epochs"]:
        yield str(epoch["side"]), figures["precision"], str(figures["batch"]), f"{epoch['images_per_s']:,.0f}"


def _tests(figures: Figures) -> Iterator[tuple[str, ...]]:
    yield tuple(str(figures[name]) for name in TESTS)


if __name__ == "__main__":
    main(sys.argv[1:])
