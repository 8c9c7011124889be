"""Times side by side: one run of each in turn, so that a busy moment strikes all of them."""

from collections.abc import Callable, Mapping
from statistics import median

import torch

from ...net.device import seconds


def medians(
    work: Mapping[str, Callable[[], object]], device: torch.device, repeats: int, warm_up: int = 1
) -> dict[str, float]:
    """The median seconds that each piece of work takes, after so many first rounds that do not count."""
    rounds = [{name: seconds(run, device) for name, run in work.items()} for _ in range(warm_up + repeats)]
    return {name: median(times[name] for times in rounds[warm_up:]) for name in work}
