"""Occlusion maps side by side: the same machine, process, threads, picture and weights, interleaved."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import torch

from ...methods.incremental.plan import Way
from ...methods.occlusion import OcclusionMaps
from ...methods.squares import Squares, squares
from ...net.chain import Chain
from ...net.device import seconds
from ...net.probability import probabilities
from . import contenders
from .floor import multiply_adds
from .interleaved import medians
from .machine import Machine
from .memory import of_first_map

# Full batches and Captum take the same time for every square: they are timed on a grid thinned to so many, by device.
SAMPLE = {"cpu": 81, "cuda": 700}
# How often each batch size is timed, the least counting: on a GPU the first time loads kernels and asks for memory.
TRIES = {"cpu": 1, "cuda": 3}


@dataclass(frozen=True)
class Case:
    """A net by name, a grid and a precision."""

    net: str
    window: int
    stride: int
    precision: str


@dataclass(frozen=True)
class Run:
    """A contender, the grid that it is timed on, and how many squares it lays there."""

    contender: contenders.Contender
    grid: Squares
    laid: int


@dataclass(frozen=True)
class Row:
    """Medians over interleaved repeats; times in seconds for the whole grid of `positions` squares.

    `full` and `captum` are scaled to it from a thinned one. `captum` is in float32 whatever the case says, as
    torch's normalisation has no bfloat16 on a CPU; `captum_tuned`: on our own net, which reads channels last
    and has a faster normalisation, in the case's precision. `float32`: ours in float32, for a reduced precision.
    Deviations are the largest from the full evaluation in float32: of logits over the largest logit, and of
    probabilities. `memory` is that of a first picture, whose blocks are then kept. `floor` is the time that
    the multiply-adds of recomputing what changes would take at the machine's peak. `way` is the one that ours went,
    and `ways` are the seconds by which it was chosen on a GPU.
    """

    case: Case
    positions: int
    incremental: float
    full: float
    full_batch: int
    captum: float
    captum_batch: int
    captum_tuned: float
    float32: float | None
    logit_deviation: float
    probability_deviation: float
    memory: int | None
    floor: float
    way: str
    ways: dict[Way, float]

    @property
    def over_full(self) -> float:
        return self.full / self.incremental

    @property
    def over_captum(self) -> float:
        return self.captum / self.incremental

    @property
    def share_of_floor(self) -> float:
        """Over 1 where fewer multiplications were needed than recomputing takes."""
        return self.floor / self.incremental


def measure(build: Callable[[], Chain], case: Case, machine: Machine, device: torch.device, repeats: int) -> Row:
    """Time the ways to one occlusion map of the net that is built, and compare what they found."""
    dtype = getattr(torch, case.precision)
    exact = contenders.timed(build(), device, torch.float32)
    on = exact if dtype == torch.float32 else contenders.timed(build(), device, dtype)
    grid = squares(on.size, on.size, case.window, case.stride)
    thin = contenders.sample(on.size, case.window, case.stride, SAMPLE[device.type])
    captum = contenders.unbound(partial(contenders.captum, exact, tuned=False))
    tuned = contenders.unbound(partial(contenders.captum, on, tuned=True))
    full = contenders.unbound(partial(contenders.full, on))
    batch = quickest(captum, contenders.CAPTUM_BATCHES, thin, device)
    full_batch = quickest(full, contenders.FULL_BATCHES, thin, device)
    runs = {
        "incremental": Run(contenders.incremental(on), grid, len(grid)),
        "full": Run(full(full_batch), thin, len(thin)),
        "captum": Run(captum(batch), thin, laid_by_captum(thin, on.size)),
        "captum_tuned": Run(tuned(batch), thin, laid_by_captum(thin, on.size)),
    }
    if dtype != torch.float32:
        runs["float32"] = Run(contenders.incremental(exact), grid, len(grid))
    scaled = seconds_of(len(grid), runs, device, repeats)
    logits_off, probability_off = _deviations(
        contenders.incremental(on)(thin), contenders.full(exact, full_batch)(thin)
    )
    return Row(
        case=case, positions=len(grid), incremental=scaled["incremental"], full=scaled["full"], full_batch=full_batch,
        captum=scaled["captum"], captum_batch=batch, captum_tuned=scaled["captum_tuned"],
        float32=scaled.get("float32"), logit_deviation=logits_off, probability_deviation=probability_off,
        memory=of_first_map(build, grid, device, dtype),
        floor=2 * multiply_adds(on.chain, grid) / machine.peak_gflops[case.precision] / 1e9,
        way=on.occluder.way_for(grid), ways=on.ways,
    )  # fmt: skip


def seconds_of(count: int, runs: Mapping[str, Run], device: torch.device, repeats: int) -> dict[str, float]:
    """What so many squares take each contender: medians of runs in turn, scaled from those that it lays."""
    times = medians({name: partial(run.contender, run.grid) for name, run in runs.items()}, device, repeats)
    return {name: times[name] * count / run.laid for name, run in runs.items()}


def quickest(
    contender: Callable[[int], contenders.Contender],
    batches: dict[str, tuple[int, ...]],
    grid: Squares,
    device: torch.device,
) -> int:
    """The batch in which a contender takes least time, of those for the device."""
    first, *others = batches[device.type]
    return min([first, *others], key=lambda n: _least(partial(contender(n), grid), device)) if others else first


def _least(work: Callable[[], object], device: torch.device) -> float:
    """Seconds of the quickest of its tries."""
    return min(seconds(work, device) for _ in range(TRIES[device.type]))


def laid_by_captum(grid: Squares, size: int) -> int:
    """How many squares Captum lays: what the stride leaves over is one more, cut at the border."""
    return (-(-(size - grid.window) // grid.stride) + 1) ** 2


def _deviations(maps: OcclusionMaps, expected: OcclusionMaps) -> tuple[float, float]:
    """Largest difference of the logits over the largest logit, and of the probabilities."""
    logits = (maps.logits - expected.logits).abs().max() / expected.logits.abs().max()
    before, after = (probabilities(one.logits, 1) for one in (expected, maps))
    return float(logits), float((after - before).abs().max())
