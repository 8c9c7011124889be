"""Which way a grid of squares goes on a GPU: timed there, for each card has figures of its own.

The ways are equal in precision: none is quicker at the cost of digits.
"""

import logging
from collections.abc import Callable, Sequence
from functools import partial
from statistics import median

import torch

from ...net.device import current, seconds
from ..occlusion import OcclusionMaps
from ..squares import squares
from .occluder import Occluder
from .plan import Way

log = logging.getLogger(__name__)

WINDOW, STRIDE = 32, 8  # pixels: the grid that most requests ask for
REPEATS = 5
CLEARLY = 1.15  # times as long: less is noise, by which workers of one card would choose differently
# Largest difference of the logits from those of full evaluation, over the largest one. What a reduced precision is off
# by each answer says; a way that is off by more than this is wrong.
LIMITS = {torch.float32: 1e-5, torch.bfloat16: 0.1, torch.float16: 0.1}


def autotune(occluder: Occluder) -> dict[Way, float]:
    """Choose the way on a GPU; groups, which are quickest on processors, stay there. The seconds of what was timed."""
    weight = next(occluder.chain.parameters())
    if weight.device.type != "cuda" or weight.dtype not in LIMITS:
        return {}
    with current(weight.device):
        return choose(occluder, partial(seconds, device=weight.device))


@torch.inference_mode()
def choose(occluder: Occluder, timed: Callable[[Callable[[], object]], float]) -> dict[Way, float]:
    """Have the occluder go the quickest way that agrees with full evaluation; the seconds of each, which are logged.

    Of ways that are about as quick it is the first of `Way`, so that workers agree in their last digits, too.
    `timed` gives the seconds of some work. A way that does not agree is logged as an error. Where the picture is so
    small that every way is full evaluation, there is nothing to time, and the occluder keeps its own.
    """
    chain, weight = occluder.chain, next(occluder.chain.parameters())
    height, width = chain.input_size[1:]
    window = min(WINDOW, height, width)
    grid = squares(height, width, window, min(STRIDE, window))
    asked = f"occlusion maps in {str(weight.dtype).removeprefix('torch.')}, window {window}, stride {grid.stride}"
    # Those that lead apart here: few squares are one group, large ones go in full.
    if not (incremental := [way for way in (Way.ONE_GROUP, Way.GROUPS) if occluder.way_for(grid, way) is way]):
        log.info("%s: all in full; not timed, kept: %s", asked, occluder.way)
        return {}
    image = torch.randn(chain.input_size, generator=torch.Generator().manual_seed(0), device="cpu").to(weight)
    clean, fill = chain.run(image[None]), torch.zeros_like(image)

    def evaluate(way: Way) -> OcclusionMaps:
        occluder.way = way
        return occluder(image, clean, fill, grid, chain.features[-1], 0)

    ways = _agreeing(evaluate, incremental, LIMITS[weight.dtype])
    # In turn, so that a busy moment strikes all of them.
    rounds = [[timed(partial(evaluate, way)) for way in ways] for _ in range(REPEATS)]
    times = dict(zip(ways, map(median, zip(*rounds, strict=True)), strict=True))
    occluder.way = next(way for way in ways if times[way] <= CLEARLY * min(times.values()))
    figures = ", ".join(f"{way} {1000 * taken:.2f} ms" for way, taken in times.items())
    log.info("%s: %s; taken: %s", asked, figures, occluder.way)
    return times


def _agreeing(evaluate: Callable[[Way], OcclusionMaps], incremental: Sequence[Way], limit: float) -> list[Way]:
    """Full evaluation, and the incremental ways that agree with it."""
    exact = evaluate(Way.FULL).logits
    ways = [Way.FULL]
    for way in incremental:
        apart = float((evaluate(way).logits - exact).abs().max() / exact.abs().max())
        if apart <= limit:
            ways.append(way)
        else:
            log.error("occlusion maps by %s are off by %.1e of the largest logit: not taken", way, apart)
    return ways
