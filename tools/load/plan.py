"""From what one server does to how many are needed, and what they cost: the formulae of docs/capacity.md."""

import math
from dataclasses import dataclass

from .out import table

RATES = (10, 100, 1000)
# Above this share of what a server can do, waiting grows faster than load.
UTILISATION = 0.7
SPARES = 1  # one server may be down, or new, at any time
EXPLAINED_SHARE = 0.02  # of predictions, where somebody asks why
COST = "cost/hour", "per million"
COLUMNS = (
    "requests/s", "servers for predictions", *COST, "servers for explanations", *COST, "both, where 2 % are explained",
)  # fmt: skip


@dataclass(frozen=True)
class Machine:
    """One server: what it has, how it uses it, and how many answers a second it gave of one kind alone."""

    cores: int
    gpus: int
    workers: int
    threads: int
    predictions_per_s: float
    explanations_per_s: float

    @property
    def gib(self) -> int:
        """Memory to give it: the rule of docs/operations.md, for Java, CUDA, and workers that did all they can."""
        return (6 if self.gpus else 1) + 2 * self.workers


@dataclass(frozen=True)
class Prices:
    """Of an hour."""

    core: float
    gib: float
    gpu: float

    def of(self, machine: Machine) -> float:
        return machine.cores * self.core + machine.gib * self.gib + machine.gpus * self.gpu


def replicas(wanted_per_s: float, one_gives_per_s: float) -> int:
    """Servers for a rate, none of them busier than UTILISATION when one is missing."""
    return math.ceil(wanted_per_s / (one_gives_per_s * UTILISATION)) + SPARES


def replicas_table(machine: Machine, prices: Prices) -> list[str]:
    """Lines of Markdown: replicas of each pool and their cost, for RATES of each call."""
    hour = prices.of(machine)
    rows = []
    for rate in RATES:
        predict, explain = (replicas(rate, one) for one in (machine.predictions_per_s, machine.explanations_per_s))
        both = predict + replicas(rate * EXPLAINED_SHARE, machine.explanations_per_s)
        costs = [(f"{n * hour:.2f}", per_million(n * hour, rate)) for n in (predict, explain)]
        rows.append((rate, predict, *costs[0], explain, *costs[1], both))
    return [
        f"## Servers of {machine.workers} x {machine.threads} (workers x threads)",
        "",
        f"With {machine.cores} cores, {machine.gib} GiB and {machine.gpus} GPUs one costs {hour:.3f} an hour"
        f" (a core {prices.core}, a GiB {prices.gib}, a GPU {prices.gpu}; put in your own).",
        "",
        *table(COLUMNS, rows),
    ]


def per_million(cost_an_hour: float, rate: float) -> str:
    """What a million answers cost at this rate."""
    return f"{cost_an_hour / 3600 / rate * 1e6:.2f}"
