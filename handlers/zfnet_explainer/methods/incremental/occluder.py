"""Exact incremental occlusion: recompute only what a square can change.

The clean picture is evaluated once. For each square, every spatial layer recomputes the cells that
the square touches and takes all else from the clean picture (Nakandala et al., SIGMOD 2019, call it
incremental inference). Nothing is approximated: a value outside does not depend on the square.

A layer is one gather of what its tiles read and one operation on that: a pool, a convolution, or,
where it takes fewer multiplications, the matrix products of Winograd's form of it. Squares that change
nearly all of a picture go through the whole net instead.
"""

from functools import lru_cache, partial

import torch
from torch import Tensor, nn

from ...net.chain import Activations, Chain
from ..occlusion import OcclusionMaps, as_maps, occlude_full
from ..squares import Squares
from .changed import Boxes
from .clean import CleanMaps
from .plan import Part, Step, plan
from .sweep import Sweep
from .winograd import Tiles, WinogradConvolution
from .workspace import Workspace

# Bytes of a layer's values at a time: on a CPU few enough for its caches and many enough for its matrix products, on
# a GPU few kernels for as many squares as are asked for.
MEMORY = {"cpu": 96 << 20, "cuda": 2 << 30}
# Incremental where it takes less than this share of the whole net's multiply-adds. They are slower ones: on a CPU the
# time saved there is a third, and differences of nearly all of a picture cost digits.
SHARE = 0.4
PLANS = 8  # grids whose plans are kept: most requests ask for the same ones
DENSE_BATCH = 512  # squares that the linear layers evaluate at a time, so that their weights are seldom read


class Occluder:
    """Occludes pictures for one chain, holding about `memory` bytes at a time: None chooses by the chain's device.

    Filters in Winograd's form and that memory are kept from their first use on: one thread at a time may call it.
    """

    def __init__(self, chain: Chain, memory: int | None = None) -> None:
        self.chain = chain
        weight = next(chain.parameters())
        self.memory = memory or MEMORY[weight.device.type]
        self._workspace = Workspace(weight)
        self._plan = lru_cache(maxsize=PLANS)(partial(plan, chain))
        self._transformed: dict[tuple[str, Tiles], WinogradConvolution] = {}

    @torch.inference_mode()
    def __call__(
        self, image: Tensor, clean: Activations, fill: Tensor, squares: Squares, layer: str, feature: int
    ) -> OcclusionMaps:
        """Evaluate every square as `occlude_full` does, equal to it within rounding.

        `clean` are the activations of `image` (batch 1), in the precision of the chain. However many
        squares there are, a layer holds about `memory` bytes at a time.
        """
        parts = self._plan(squares, image.dtype, image.device)
        maps = {name: clean.outputs[name][0] for name in self.chain.axes}
        if sum(part.multiply_adds for part in parts) >= SHARE * len(squares) * _multiply_adds(self.chain, maps):
            held = 2 * max(x.nbytes for x in maps.values())
            return occlude_full(self.chain, image, fill, squares, layer, feature, max(1, self.memory // held))
        rows = CleanMaps(self.chain, image, clean)
        grid = len(squares.tops), len(squares.lefts)
        logits, activity = image.new_empty(*grid, self.chain.classes), image.new_empty(grid)
        for part in parts:
            found = self._recompute(part, rows, fill, layer, feature)
            at = torch.tensor(part.rows)[:, None], torch.tensor(part.cols)
            logits[at], activity[at] = found.logits, found.feature_activity
        return OcclusionMaps(logits, activity)

    def _recompute(self, part: Part, clean: CleanMaps, fill: Tensor, layer: str, feature: int) -> OcclusionMaps:
        """The maps of squares that are recomputed alike."""
        squares = part.squares
        sweep = Sweep(self.chain, part.steps, self._filters(part.steps), clean, fill, self._workspace)
        painted = Boxes.grid(
            [(top, top + squares.window) for top in squares.tops],
            [(left, left + squares.window) for left in squares.lefts],
        ).to(fill.device)
        batch = max(1, self.memory // (part.values * fill.element_size()))
        logits, activity, waiting = [], [], []
        for start in range(0, len(squares), batch):
            flat, sums = sweep.batch(painted, slice(start, start + batch), layer, feature)
            activity.append(sums)
            waiting.append(flat)
            if batch * len(waiting) >= DENSE_BATCH or start + batch >= len(squares):
                logits.append(self._dense(torch.cat(waiting)))
                waiting = []
        return as_maps(squares, torch.cat(logits), torch.cat(activity))

    def _dense(self, x: Tensor) -> Tensor:
        for name in self.chain.dense:
            x = self.chain.layer(name)(x)
        return x

    def _filters(self, steps: dict[str, Step]) -> dict[str, WinogradConvolution]:
        """The filters that the steps' tiles need."""
        found = {}
        for name, step in steps.items():
            layer = self.chain.layer(name)
            if step.tiles and isinstance(layer, nn.Conv2d):
                key = name, step.tiles
                if key not in self._transformed:
                    self._transformed[key] = WinogradConvolution(layer, step.tiles)
                found[name] = self._transformed[key]
        return found


def _multiply_adds(chain: Chain, maps: dict[str, Tensor]) -> int:
    """Of the convolutions that give these maps [channels, h, w], for one picture."""
    layers = {name: chain.layer(name) for name in maps}
    return sum(
        layer.weight.numel() * maps[name][0].numel() for name, layer in layers.items() if isinstance(layer, nn.Conv2d)
    )
