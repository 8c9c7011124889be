"""Pictures too many for memory, each decoded once before a run draws any: what cannot be read is known at its start."""

import json
from pathlib import Path

from ..atomic import write_whole
from ..pictures.labelled import StoredPictures
from ..pictures.stream import Tolerance
from .process import Process
from .resume import fingerprint

LEFT_OUT = "left-out.json"


def readable(pictures: StoredPictures, out: Path, process: Process, tolerance: Tolerance) -> StoredPictures:
    """Those that can be read, found by all processes together and noted in the run's folder `out`, once.

    Raises ValueError once more cannot than are tolerated.
    """
    note, names = out / LEFT_OUT, fingerprint(pictures.names)
    known = json.loads(note.read_text()) if note.exists() else {}
    found = all(process.gathered(known.get("pictures") == names))  # on machines whose folders differ not by all
    reasons: dict[str, str] = known["left_out"] if found else _unreadable(pictures, process, tolerance)
    if reasons:
        tolerance.check(len(reasons), len(pictures), min(reasons.values()))
    for reason in sorted(reasons.values()):
        tolerance.leave_out(reason)
    if process.first and not found:
        write_whole(note, json.dumps({"pictures": names, "left_out": reasons}, indent=1).encode())
    return pictures.without(reasons)


def _unreadable(pictures: StoredPictures, process: Process, tolerance: Tolerance) -> dict[str, str]:
    """Which cannot be read, and why: each process looks at its share."""
    mine = pictures.unreadable(range(process.rank, len(pictures), process.world), tolerance)
    return {name: why for share in process.gathered(mine) for name, why in share.items()}
