"""Exact incremental occlusion: recompute only what a square can change.

The clean picture is evaluated once. For each square, every spatial layer recomputes the cells that
the square touches and takes all else from the clean picture (Nakandala et al., SIGMOD 2019, call it
incremental inference). Nothing is approximated: a value outside does not depend on the square.

`tests/methods/incremental/plain.py` does just that in forty lines: read it first. Here a layer is one gather, for a
batch of squares, and one operation on that: a pool, a convolution, or, where it takes fewer multiplications, the
matrix products of Winograd's form of it. Squares that change nearly all of a picture go through the whole net
instead. `docs/engine.md` explains it with figures, and `autotune.py` chooses among the ways on a GPU.
"""

from functools import cache, lru_cache, partial
from itertools import islice
from math import ceil

import torch
from torch import Tensor, nn

from ...net.chain import Activations, Chain
from ...net.device import check_device, without_autocast
from ..occlusion import OcclusionMaps, as_maps, check_asked, occlude_full
from ..squares import Squares
from .plan import Group, Way, plan
from .rows import CleanMaps
from .sweep import Sweep
from .winograd import WinogradConvolution
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

    The chain's weights must not change any more: after training (`as_chain` shares a net's) make another Occluder.
    On a GPU a chain is exact where `Chain.placed` made it: that turns TF32 off, for the whole process. Raises
    ValueError for a device that is neither a CPU nor a GPU.

    `way` is how grids are evaluated where that saves enough. Filters in Winograd's form and that memory, in a
    `workspace` that occluders may share, are kept from their first use on: one thread at a time may call it.
    """

    def __init__(self, chain: Chain, memory: int | None = None, workspace: Workspace | None = None) -> None:
        self.chain = chain
        self.way = Way.GROUPS
        weight = next(chain.parameters())
        check_device(weight.device)
        self.memory = memory or MEMORY[weight.device.type]
        self._workspace = workspace or Workspace(weight.device)
        self._plan = lru_cache(maxsize=PLANS)(partial(plan, chain, weight.dtype, weight.device))
        self._filters = cache(WinogradConvolution)

    def way_for(self, squares: Squares, way: Way | None = None) -> Way:
        """How this grid is evaluated, `way` or else the occluder's: in full where recomputing would save too little."""
        way = way or self.way
        if way is Way.FULL:
            return way
        groups = self._plan(squares, way)
        if sum(group.multiply_adds for group in groups) >= SHARE * len(squares) * _multiply_adds(self.chain):
            return Way.FULL
        return Way.ONE_GROUP if len(groups) == 1 else Way.GROUPS

    @torch.inference_mode()
    @without_autocast()
    def __call__(
        self, image: Tensor, clean: Activations, fill: Tensor, squares: Squares, layer: str, feature: int
    ) -> OcclusionMaps:
        """Evaluate every square as `occlude_full` does, equal to it within rounding.

        `clean` are the activations of `image` (batch 1), in the precision of the chain. However many
        squares there are, a layer holds about `memory` bytes at a time. Raises ValueError for activations of several
        pictures, and as `check_asked` does.
        """
        check_asked(self.chain, image, fill, squares, layer, feature)
        if (pictures := len(clean.outputs[layer])) != 1:
            raise ValueError(f"activations of one picture are occluded, these are of {pictures}")
        if self.way_for(squares) is Way.FULL:
            held = 2 * max(image.nbytes, *(clean.outputs[name].nbytes for name in self.chain.axes))
            return occlude_full(self.chain, image, fill, squares, layer, feature, max(1, self.memory // held))
        clean_maps = CleanMaps(self.chain, image, clean)
        grid = len(squares.tops), len(squares.lefts)
        logits, activity = image.new_empty(*grid, self.chain.classes), image.new_empty(grid)
        for group in self._plan(squares, self.way):
            found = self._recompute(group, clean_maps, fill, layer, feature)
            at = torch.tensor(group.rows, device="cpu")[:, None], torch.tensor(group.cols, device="cpu")
            logits[at], activity[at] = found.logits, found.feature_activity
        return OcclusionMaps(logits, activity)

    def _recompute(self, group: Group, clean: CleanMaps, fill: Tensor, layer: str, feature: int) -> OcclusionMaps:
        """The maps of squares that are recomputed alike."""
        sweep = Sweep(self.chain, group, self._filters, clean, fill, self._workspace)
        whole = 2 * clean.maps[self.chain.spatial[-1]].nbytes  # a square's last map, before and after it is flattened
        size = max(1, self.memory // max(group.values * fill.element_size(), whole))
        together = max(1, ceil(min(DENSE_BATCH, self.memory // whole) / size))
        batches = sweep.batches(size, layer, feature)
        logits: list[Tensor] = []
        activity: list[Tensor] = []
        while some := list(islice(batches, together)):
            logits.append(self._logits(torch.cat([flat for flat, _ in some])))
            activity.extend(sums for _, sums in some)
            del some  # before the next ones are made
        return as_maps(group.squares, torch.cat(logits), torch.cat(activity))

    def _logits(self, x: Tensor) -> Tensor:
        """Of flattened last maps [squares, values]."""
        for name in self.chain.dense:
            x = self.chain.layer(name)(x)
        return x


def _multiply_adds(chain: Chain) -> int:
    """Of the chain's convolutions, for one picture."""
    layers = {name: chain.layer(name) for name in chain.axes}
    return sum(
        layer.weight.numel() * chain.axes[name][0].size_out * chain.axes[name][1].size_out
        for name, layer in layers.items()
        if isinstance(layer, nn.Conv2d)
    )
