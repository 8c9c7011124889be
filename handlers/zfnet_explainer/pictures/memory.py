"""How much memory pictures may take that are kept there."""

import math
from pathlib import Path

import psutil

from ..cores import CGROUPS, MEMBERSHIP, control_groups

MOST = 8 * 2**30
LIMITS = ("memory.max", "memory.limit_in_bytes")  # cgroup v2's, v1's


def memory_limit(cgroups: Path = CGROUPS, membership: Path = MEMBERSHIP) -> int:
    """Bytes: half of the machine's memory, of its container's or its unit's limit, and at most 8 GiB.

    Not of what is free at the moment: it would be chance whether a run, and the same one resumed, keeps its pictures.
    """
    limits = map(_limit, control_groups("memory", cgroups, membership))
    return int(min(2 * MOST, psutil.virtual_memory().total, *limits)) // 2


def _limit(group: Path) -> float:
    """Bytes that a group may have; inf without a limit."""
    for name in LIMITS:
        try:
            limit = (group / name).read_text().strip()
        except FileNotFoundError:
            continue
        return math.inf if limit == "max" else int(limit)
    return math.inf
