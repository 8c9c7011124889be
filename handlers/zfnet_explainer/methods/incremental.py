"""Exact incremental occlusion: recompute only what a square can change.

The clean picture is evaluated once. For each square, every spatial layer recomputes the cells that
the square touches and takes all else from the clean picture (Nakandala et al., SIGMOD 2019, call it
incremental inference). Nothing is approximated: a value outside does not depend on the square.

A layer is one gather of what its tiles read and one operation on that: a pool, a convolution, or,
where it takes fewer multiplications, the matrix products of Winograd's form of it.
"""

import torch
from torch import Tensor, nn

from ..net.chain import Activations, Chain
from .changed import Boxes
from .occlusion import OcclusionMaps, as_maps
from .plan import Step, plan
from .squares import Squares
from .sweep import Sweep
from .winograd import WinogradConvolution

# Bytes of a layer's values at a time: on a CPU few enough for its caches and many enough for its matrix products, on
# a GPU few kernels for as many squares as are asked for.
MEMORY = {"cpu": 128 << 20, "cuda": 2 << 30}
DENSE_BATCH = 512  # squares that the linear layers evaluate at a time, so that their weights are seldom read


class Occluder:
    """Occludes pictures for one chain, holding about `memory` bytes at a time: None chooses by the chain's device.

    Filters in Winograd's form are kept from their first use on.
    """

    def __init__(self, chain: Chain, memory: int | None = None) -> None:
        self.chain = chain
        self.memory = memory or MEMORY[next(chain.parameters()).device.type]
        self._transformed: dict[str, WinogradConvolution] = {}

    @torch.inference_mode()
    def __call__(
        self, image: Tensor, clean: Activations, fill: Tensor, squares: Squares, layer: str, feature: int
    ) -> OcclusionMaps:
        """Evaluate every square as `occlude_full` does, equal to it within rounding.

        `clean` are the activations of `image` (batch 1), in the precision of the chain. However many
        squares there are, a layer holds about `memory` bytes at a time.
        """
        steps = plan(self.chain, squares, image.dtype, image.device)
        sweep = Sweep(self.chain, steps, self._filters(steps), image, clean, fill)
        painted = Boxes.grid(
            [(top, top + squares.window) for top in squares.tops],
            [(left, left + squares.window) for left in squares.lefts],
        ).to(image.device)
        batch = max(1, self.memory // (max(step.values for step in steps.values()) * image.element_size()))
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
        """The filters that the steps' tilings need; those of another tiling are replaced."""
        for name, step in steps.items():
            layer, kept = self.chain.layer(name), self._transformed.get(name)
            if step.tiling and isinstance(layer, nn.Conv2d) and (kept is None or kept.tiling != step.tiling):
                self._transformed[name] = WinogradConvolution(layer, step.tiling)
        return self._transformed
