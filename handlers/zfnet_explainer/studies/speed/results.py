"""The bench's tables and its JSON."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from ...atomic import json_text, write_whole
from ..tables import Table
from .machine import Machine
from .occlusion import Case, Row
from .projections import ProjectionsRow
from .requests import RequestsRow
from .rivals import RivalRow
from .start import StartRow

OCCLUSION = (
    "net", "window/stride", "precision", "squares", "time", "squares/s", "× full", "× Captum (its batch)",
    "× Captum, tuned", "share of floor", "logits off", "probability off", "memory",
)  # fmt: skip


RIVALS = "net", "window/stride", "way", "squares at a time", "time", "squares/s", "probability off"
PROJECTIONS = "net", "ours", "Captum", "× Captum"
REQUESTS = "endpoint", "over HTTP", "in process", "ratio"
NOTED = "occlusion", "rivals"  # tables that stand in a page on their own, and say what they were measured on


@dataclass(frozen=True)
class Results:
    """All that a run of the bench measured."""

    machine: Machine
    repeats: int
    occlusion: list[Row] = field(default_factory=list)
    rivals: list[RivalRow] = field(default_factory=list)
    projections: list[ProjectionsRow] = field(default_factory=list)
    requests: list[RequestsRow] = field(default_factory=list)
    start: list[StartRow] = field(default_factory=list)

    @classmethod
    def loaded(cls, found: Mapping[str, Any]) -> Self:
        """Out of what JSON has of them."""
        return cls(
            Machine(**found["machine"]),
            found["repeats"],
            [Row(**row | {"case": Case(**row["case"])}) for row in found["occlusion"]],
            [RivalRow(**row) for row in found["rivals"]],
            [ProjectionsRow(**row) for row in found["projections"]],
            [RequestsRow(**row) for row in found["requests"]],
            [StartRow(**row) for row in found["start"]],
        )

    def save(self, folder: Path) -> Path:
        """Write the numbers as JSON into the folder, named after the time; the path."""
        path = folder / f"bench-{datetime.now(UTC):%Y%m%d-%H%M%S}.json"
        write_whole(path, json_text(asdict(self)))
        return path

    def tables(self) -> list[Table]:
        """Each part that was measured; the first says on what."""
        note = f"{self.machine}. Medians of {self.repeats} interleaved runs."
        parts = (
            ("occlusion", "Occlusion maps", OCCLUSION, [_occlusion(row) for row in self.occlusion], 3),
            ("rivals", "One occlusion map", RIVALS, [_rival(row) for row in self.rivals], 3),
            (
                "projections",
                "Nine projections of the last layer",
                PROJECTIONS,
                [(r.net, _time(r.ours), _time(r.captum), f"{r.over_captum:.1f}") for r in self.projections],
                1,
            ),
            (
                "requests",
                "Whole requests, fresh pictures",
                REQUESTS,
                [(r.endpoint, _time(r.over_http), _time(r.in_process), f"{r.ratio:.2f}") for r in self.requests],
                1,
            ),
            (
                "start",
                "From starting the server to its first answer",
                ("ours", "an empty handler", "ratio"),
                [(_time(r.ours), _time(r.empty), f"{r.ratio:.2f}") for r in self.start],
                1,
            ),
        )
        return [
            Table(f"bench-{name}", title, columns, tuple(rows), note if name in NOTED else "", keys)
            for name, title, columns, rows, keys in parts
            if rows
        ]


def _rival(row: RivalRow) -> tuple[str, ...]:
    return (
        row.net,
        f"{row.window}/{row.stride}",
        row.way,
        "–" if row.batch is None else str(row.batch),
        _time(row.seconds),
        f"{row.positions / row.seconds:,.0f}",
        "–" if row.probability_deviation is None else f"{row.probability_deviation:.0e}",
    )


def _occlusion(row: Row) -> tuple[str, ...]:
    case = row.case
    return (
        case.net,
        f"{case.window}/{case.stride}",
        case.precision if row.float32 is None else f"{case.precision}: {row.float32 / row.incremental:.1f} × float32",
        f"{row.positions:,}",
        _time(row.incremental),
        f"{row.positions / row.incremental:,.0f}",
        f"{row.over_full:.1f}",
        f"{row.over_captum:.1f} ({row.captum_batch})",
        f"{row.captum_tuned / row.incremental:.1f}",
        f"{100 * row.share_of_floor:.0f} %",
        f"{row.logit_deviation:.0e}",
        f"{row.probability_deviation:.0e}",
        "–" if row.memory is None else f"{row.memory / 2**20:,.0f} MiB",
    )


def _time(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{1000 * seconds:.1f} ms"
