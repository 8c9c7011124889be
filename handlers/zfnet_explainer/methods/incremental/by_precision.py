"""A chain's occluders, one for each precision that is asked for."""

import copy

import torch
from torch import Tensor

from ...net.chain import Activations, Chain
from ...net.device import device_of
from ...net.probability import NOT_FINITE
from ..occlusion import OcclusionMaps
from ..squares import Squares
from .autotune import autotune
from .occluder import Occluder
from .workspace import Workspace


class Occluders:
    """Occluders of a chain in float32 by precision; `memory` is as an Occluder's.

    They share a workspace. Each is made, with a copy of the chain in another precision, when it is first asked for, and
    is autotuned then.
    """

    def __init__(self, chain: Chain, memory: int | None) -> None:
        self.chain, self.memory = chain, memory
        self._workspace = Workspace(device_of(chain))
        self._made: dict[torch.dtype, Occluder] = {}

    def __reduce__(self) -> tuple[type["Occluders"], tuple[Chain, int | None]]:
        """Copied, or sent to another process, they are made anew there: what they keep is large and cannot be."""
        return Occluders, (self.chain, self.memory)

    def of(self, precision: torch.dtype) -> Occluder:
        """The precision's."""
        if precision not in self._made:
            chain = self.chain if precision == torch.float32 else copy.deepcopy(self.chain).to(precision)
            made = Occluder(chain, self.memory, self._workspace)
            autotune(made)
            self._made[precision] = made
        return self._made[precision]

    def __call__(
        self, precision: torch.dtype, image: Tensor, clean: Activations, fill: Tensor, grid: Squares, feature: int
    ) -> OcclusionMaps:
        """Every square's logits and the sum of the last feature layer's map `feature`, in a precision.

        `image`, `fill` and its activations `clean` are in float32. Raises ArithmeticError where the picture's
        activations leave the precision's range.
        """
        occluder = self.of(precision)
        image, fill = image.to(precision), fill.to(precision)
        activations = clean if occluder.chain is self.chain else occluder.chain.run(image[None])
        found = occluder(image, activations, fill, grid, self.chain.features[-1], feature)
        if not (found.logits.isfinite().all() and found.feature_activity.isfinite().all()):
            raise ArithmeticError(NOT_FINITE)
        return found
