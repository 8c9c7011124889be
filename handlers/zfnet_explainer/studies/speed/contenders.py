"""The ways to an occlusion map that are compared: ours, ours in full, and Captum's."""

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from captum.attr import Occlusion
from torch import Tensor, nn

from ...methods.incremental.autotune import autotune
from ...methods.incremental.occluder import Occluder
from ...methods.incremental.plan import Way
from ...methods.occlusion import OcclusionMaps, occlude_full
from ...methods.squares import Squares, squares
from ...net.chain import Chain
from ...net.norm import CrossMapNorm

Contender = Callable[[Squares], object]
# Pictures at a time, by device; the quickest counts. Captum's perturbations_per_eval.
CAPTUM_BATCHES = {"cpu": (1, 4, 16, 64), "cuda": (16, 64, 256)}
FULL_BATCHES = {"cpu": (32,), "cuda": (32, 128, 256)}
TARGET = 0


@dataclass(frozen=True)
class Timed:
    """A chain and a standardised picture and fill for it, in one precision on one device.

    `ways`: seconds that each way took where the occluder's was chosen by them.
    """

    chain: Chain
    image: Tensor
    fill: Tensor
    occluder: Occluder
    ways: dict[Way, float]

    @property
    def size(self) -> int:
        return self.image.shape[-1]


def timed(chain: Chain, device: torch.device, dtype: torch.dtype) -> Timed:
    """The chain moved to the device, with a seeded picture: what is in it does not change the work."""
    chain = chain.placed(device).to(dtype)
    generator = torch.Generator().manual_seed(0)
    image = torch.randn(chain.input_size, generator=generator).to(device, dtype)
    occluder = Occluder(chain)
    return Timed(chain, image, torch.zeros_like(image), occluder, autotune(occluder))


def incremental(on: Timed) -> Callable[[Squares], OcclusionMaps]:
    """Ours, the clean picture's own evaluation included."""

    def run(grid: Squares) -> OcclusionMaps:
        with torch.inference_mode():
            clean = on.chain.run(on.image[None])
        return on.occluder(on.image, clean, on.fill, grid, on.chain.features[-1], 0)

    return run


def full(on: Timed, batch: int) -> Callable[[Squares], OcclusionMaps]:
    """Ours, every square through the whole net, so many at a time."""
    return lambda grid: occlude_full(on.chain, on.image, on.fill, grid, on.chain.features[-1], 0, batch)


def captum(on: Timed, batch: int, tuned: bool) -> Contender:
    """Captum's Occlusion on the same weights, in a plain net of torch's layers or, `tuned`, in ours.

    Ours is faster: its convolutions read channels last, and its normalisation is another. It finds the
    target's probabilities alone, without the map's activity and the most probable class.
    """
    net = on.chain if tuned else plain(on.chain)
    attribution = Occlusion(lambda x: net(x).softmax(1)[:, TARGET])

    @torch.inference_mode()
    def run(grid: Squares) -> Tensor:
        shape, strides = ((len(on.image), side, side) for side in (grid.window, grid.stride))
        found: Tensor = attribution.attribute(
            on.image[None],
            sliding_window_shapes=shape,
            strides=strides,
            baselines=on.fill[None],
            perturbations_per_eval=batch,
        )
        return found

    return run


def unbound(
    build: Callable[[int], Contender], convolutions: bool = False, products: bool = False
) -> Callable[[int], Contender]:
    """The contender as it is quickest on a card: with any of cuDNN's algorithms, and TF32 in what is named."""
    return lambda batch: tf32(convolutions, products)(build(batch))


@contextmanager
def tf32(convolutions: bool, products: bool) -> Iterator[None]:
    """TF32 in convolutions and in matrix products; torch comes with the first alone. Any of cuDNN's algorithms."""
    cudnn = torch.backends.cudnn
    before = cudnn.allow_tf32, cudnn.deterministic, torch.get_float32_matmul_precision()
    cudnn.allow_tf32, cudnn.deterministic = convolutions, False
    torch.set_float32_matmul_precision("high" if products else "highest")
    try:
        yield
    finally:
        cudnn.allow_tf32, cudnn.deterministic = before[:2]
        torch.set_float32_matmul_precision(before[2])


def plain(chain: Chain) -> nn.Sequential:
    """The chain as a user of torch would have it: torch's normalisation and memory format, the same weights."""
    return chain.rebuilt(_torchs_own).to(memory_format=torch.contiguous_format)


def _torchs_own(layer: nn.Module) -> nn.Module:
    if isinstance(layer, CrossMapNorm):
        return nn.LocalResponseNorm(layer.size, layer.alpha, layer.beta, layer.k)
    return copy.deepcopy(layer)


def sample(size: int, window: int, stride: int, at_most: int) -> Squares:
    """The grid thinned towards `at_most` evenly spread squares: every n-th row and column of it.

    No further apart than the window, which is all that Captum lays. It lays as many: its border rule agrees where the
    thinned stride divides what is left.
    """
    thinning = 1
    grid = squares(size, size, window, stride)
    while len(grid.tops[::thinning]) ** 2 > at_most and stride * (thinning + 1) <= window:
        thinning += 1
    return Squares(window, stride * thinning, grid.tops[::thinning], grid.lefts[::thinning])
