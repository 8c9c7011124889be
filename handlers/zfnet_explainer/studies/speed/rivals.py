"""What a sceptic would run on a card instead: TF32, bfloat16 and Captum as it comes, beside ours in float32."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch

from ...methods.occlusion import OcclusionMaps
from ...methods.squares import Squares, squares
from ...net.chain import Chain
from ...net.probability import probabilities
from . import contenders
from .contenders import CAPTUM_BATCHES, FULL_BATCHES, Contender, unbound
from .occlusion import SAMPLE, Run, laid_by_captum, quickest, seconds_of


@dataclass(frozen=True)
class RivalRow:
    """Median seconds for the whole grid of `positions` squares, the rivals' scaled to it from a thinned one.

    `batch`: squares at a time, None for ours. `probability_deviation`: the largest from full evaluation in float32,
    None for Captum, which finds one class's alone.
    """

    net: str
    window: int
    stride: int
    positions: int
    way: str
    batch: int | None
    seconds: float
    probability_deviation: float | None


@dataclass(frozen=True)
class Rival:
    """A contender for each number of squares at a time, and how many squares it lays in all."""

    built: Callable[[int], Contender]
    batches: dict[str, tuple[int, ...]]
    laid: int


def measure(
    net: str, build: Callable[[], Chain], window: int, stride: int, device: torch.device, repeats: int
) -> list[RivalRow]:
    """Time ours and each rival in its best batch, interleaved, and compare what they found."""
    exact, half = (contenders.timed(build(), device, dtype) for dtype in (torch.float32, torch.bfloat16))
    grid = squares(exact.size, exact.size, window, stride)
    thin = contenders.sample(exact.size, window, stride, SAMPLE[device.type])
    rivals = _rivals(exact, half, thin)
    batches = {name: quickest(one.built, one.batches, thin, device) for name, one in rivals.items()}
    ours = f"ours, float32 ({exact.occluder.way_for(grid)})"
    runs = {ours: Run(contenders.incremental(exact), grid, len(grid))}
    runs |= {name: Run(one.built(batches[name]), thin, one.laid) for name, one in rivals.items()}
    times = seconds_of(len(grid), runs, device, repeats)
    expected = contenders.full(exact, batches["full batches, float32"])(thin)
    return [
        RivalRow(
            net=net, window=window, stride=stride, positions=len(grid), way=name, batch=batches.get(name),
            seconds=times[name], probability_deviation=_deviation(run.contender(thin), expected),
        )
        for name, run in runs.items()
    ]  # fmt: skip


def _rivals(exact: contenders.Timed, half: contenders.Timed, grid: Squares) -> dict[str, Rival]:
    captum = partial(contenders.captum, exact, tuned=False)
    full, halved = partial(contenders.full, exact), partial(contenders.full, half)
    whole, cut = len(grid), laid_by_captum(grid, exact.size)
    return {
        "Captum as installed (TF32)": Rival(unbound(captum, convolutions=True), CAPTUM_BATCHES, cut),
        "Captum, float32": Rival(unbound(captum), CAPTUM_BATCHES, cut),
        "full batches, float32": Rival(unbound(full), FULL_BATCHES, whole),
        "full batches, TF32": Rival(unbound(full, convolutions=True, products=True), FULL_BATCHES, whole),
        "full batches, bfloat16": Rival(unbound(halved), FULL_BATCHES, whole),
    }


def _deviation(found: object, expected: OcclusionMaps) -> float | None:
    if not isinstance(found, OcclusionMaps):
        return None
    return float((probabilities(found.logits, 1) - probabilities(expected.logits, 1)).abs().max())
