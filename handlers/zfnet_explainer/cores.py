"""How many processor cores a process may take."""

import math
import os
import sys
from collections.abc import Iterator
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")


def usable_cores(cgroups: Path = CGROUPS, membership: Path = MEMBERSHIP) -> int:
    """The cores this process may run on, and no more than its container's or its unit's limit.

    Torch does not look at the limit: as many threads as the machine has cores then wait for each other.
    """
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    return math.ceil(min(cores, *map(_quota, control_groups("cpu", cgroups, membership))))


def control_groups(controller: str, cgroups: Path, membership: Path) -> Iterator[Path]:
    """The folders of the process's groups and of all above them, each of which may have a controller's limit.

    A container sees its own group at the root, whatever the membership says.
    """
    yield from (cgroups, cgroups / controller)
    for line in membership.read_text().splitlines() if membership.exists() else ():
        _, controllers, group = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        folder = (cgroups / controller if controllers else cgroups) / group.lstrip("/")
        yield from (folder, *(above for above in folder.parents if above.is_relative_to(cgroups)))


def _quota(group: Path) -> float:
    """Cores that a group's limit allows (cgroup v2's cpu.max, else v1's files); inf without a limit."""
    try:
        quota, period = (group / "cpu.max").read_text().split()
    except FileNotFoundError:
        try:
            quota, period = ((group / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
        except FileNotFoundError:
            return math.inf
    return math.inf if quota.strip() in ("max", "-1") else int(quota) / int(period)
