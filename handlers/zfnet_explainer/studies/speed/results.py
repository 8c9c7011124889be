"""The bench's tables and its JSON."""

import json
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from ..tables import Table
from .machine import Machine
from .occlusion import Row
from .projections import ProjectionsRow
from .requests import RequestsRow
from .start import StartRow

OCCLUSION = (
    "net", "window/stride", "precision", "squares", "time", "squares/s", "× full", "× Captum (its batch)",
    "× Captum, tuned", "share of floor", "logits off", "probability off", "memory",
)  # fmt: skip


@dataclass(frozen=True)
class Results:
    """All that a run of the bench measured."""

    machine: Machine
    repeats: int
    occlusion: list[Row] = field(default_factory=list)
    projections: list[ProjectionsRow] = field(default_factory=list)
    requests: list[RequestsRow] = field(default_factory=list)
    start: list[StartRow] = field(default_factory=list)

    def save(self, folder: Path) -> Path:
        """Write the numbers as JSON into the folder, named after the time; the path."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"bench-{datetime.now(UTC):%Y%m%d-%H%M%S}.json"
        path.write_text(json.dumps(asdict(self), indent=1) + "\n")
        return path

    def tables(self) -> list[Table]:
        """Each part that was measured; the first says on what."""
        here = self.machine
        peaks = ", ".join(f"{name} {peak:,.0f} GFLOP/s" for name, peak in here.peak_gflops.items())
        note = (
            f"{here.device}, {here.threads} threads, Python {here.python}, torch {here.torch}; "
            f"matrix product: {peaks}. Medians of {self.repeats} interleaved runs."
        )
        return [
            Table(f"bench-{name}", title, columns, tuple(rows), note if name == "occlusion" else "")
            for name, title, columns, rows in (
                ("occlusion", "Occlusion maps", OCCLUSION, [_occlusion(row) for row in self.occlusion]),
                (
                    "projections",
                    "Nine projections of the last layer",
                    ("net", "ours", "Captum", "× Captum"),
                    [(r.net, _time(r.ours), _time(r.captum), f"{r.over_captum:.1f}") for r in self.projections],
                ),
                (
                    "requests",
                    "Whole requests, fresh pictures",
                    ("endpoint", "over HTTP", "in process", "ratio"),
                    [(r.endpoint, _time(r.over_http), _time(r.in_process), f"{r.ratio:.2f}") for r in self.requests],
                ),
                (
                    "start",
                    "From starting the server to its first answer",
                    ("ours", "an empty handler", "ratio"),
                    [(_time(r.ours), _time(r.empty), f"{r.ratio:.2f}") for r in self.start],
                ),
            )
            if rows
        ]


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
