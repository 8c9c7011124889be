"""The niceness of this process's threads while work of each priority is done, as JSON: to be run by itself.

In a process that does other things too, threads come and go at any time.
"""

import json
import os
from pathlib import Path

import torch

from zfnet_explainer.service.threads import OneThread, Priority

from ..waiting import wait_for

TORCH_THREADS = 3
ORDER = (Priority.URGENT, Priority.LOW, Priority.URGENT, Priority.LOW)


def nicenesses() -> dict[int, int]:
    """The niceness of each thread by its id; one that has ended meanwhile has none."""
    found = {}
    for task in Path("/proc/self/task").iterdir():
        try:
            found[int(task.name)] = os.getpriority(os.PRIO_PROCESS, int(task.name))
        except ProcessLookupError:
            continue
    return found


def main() -> None:
    before = nicenesses()
    run = OneThread(TORCH_THREADS)
    rounds = []
    for priority in ORDER:
        run(lambda: torch.ones(1_000_000).exp_(), priority)  # is divided among the threads, however many cores
        # Torch's threads end a moment after the one that started them.
        wait_for(lambda: len(nicenesses()) <= len(before) + TORCH_THREADS, "threads of another priority stay")
        rounds.append({"priority": priority, "during": run(nicenesses, priority)})
    print(json.dumps({"before": before, "rounds": rounds}))


if __name__ == "__main__":
    main()
