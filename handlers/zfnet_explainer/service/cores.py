"""How many processor cores a worker may take."""

import math
import os
import sys
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")


def usable_cores(cgroup: Path = CGROUP) -> int:
    """The cores this process may run on, and no more than its container's limit, which torch does not look at."""
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    return math.ceil(min(cores, _quota(cgroup)))


def _quota(cgroup: Path) -> float:
    """Cores that the container's limit allows (cgroup v2's cpu.max, else v1's files); inf without a limit."""
    try:
        quota, period = (cgroup / "cpu.max").read_text().split()
    except FileNotFoundError:
        try:
            quota, period = ((cgroup / "cpu" / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
        except FileNotFoundError:
            return math.inf
    return math.inf if quota.strip() in ("max", "-1") else int(quota) / int(period)
