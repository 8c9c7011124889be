"""Pictures too many for memory, each decoded once before a run draws any: what cannot be read is known at its start."""

import json
from pathlib import Path

import torch.distributed as dist

from ..atomic import write_whole
from ..pictures.labelled import BATCH, StoredPictures
from ..pictures.stream import Tolerance, decoded_batches
from .process import Process
from .resume import fingerprint

LEFT_OUT = "left-out.json"

Reasons = dict[str, str]  # by the picture's name


def readable(pictures: StoredPictures, out: Path, process: Process, tolerance: Tolerance) -> StoredPictures:
    """Those that can be read, found by all processes together and noted in the run's folder `out`, once.

    Raises ValueError where more cannot than are tolerated.
    """
    note, names = out / LEFT_OUT, fingerprint(pictures.names)
    known = json.loads(note.read_text()) if note.exists() else {}
    found = known.get("pictures") == names
    reasons: Reasons = known["left_out"] if found else _gathered(_unreadable(pictures, process), process)
    if reasons:
        tolerance.check(len(reasons), len(pictures), min(reasons.values()))
    for reason in sorted(reasons.values()):
        tolerance.leave_out(reason)
    if process.first and not found:
        write_whole(note, json.dumps({"pictures": names, "left_out": reasons}, indent=1).encode())
    return pictures.without(reasons)


def _unreadable(pictures: StoredPictures, process: Process) -> Reasons:
    """What cannot be read of this process's share."""
    reasons: Reasons = {}
    mine = ((i, pictures.file(i)) for i in range(process.rank, len(pictures), process.world))
    for _ in decoded_batches(mine, pictures.view, BATCH, lambda file, why: reasons.update({file.name: why})):
        pass
    return reasons


def _gathered(reasons: Reasons, process: Process) -> Reasons:
    """Those of all processes."""
    shares = [reasons] * process.world
    if process.world > 1:
        dist.all_gather_object(shares, reasons)
    return {name: why for share in shares for name, why in share.items()}
