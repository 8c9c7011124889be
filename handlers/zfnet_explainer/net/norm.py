"""Cross-channel contrast normalisation (Krizhevsky et al. 2012, section 3.3), fast on a CPU."""

import torch
from torch import Tensor, nn
from torch.nn import functional


class CrossMapNorm(nn.Module):
    """Divide each value by (k + alpha/size * sum of squares over `size` neighbouring maps) ** beta.

    Zeiler & Fergus section 3 normalise after each of the first two pools, with the constants of
    Krizhevsky et al.; alpha is divided by `size`, as in `torch.nn.LocalResponseNorm`, which this
    equals within float32 rounding. Maps beyond the first and the last count as zero.
    Input and output: [batch, maps, height, width]. Raises ValueError for a beta other than 0.75.

    The sum over neighbouring maps is a 1x1 convolution with a banded matrix and the power is two
    square roots: several times faster on a CPU than the pooling that torch's layer runs on. The matrix holds ones
    until it is needed: in float16 it would round alpha/size, which is less than that precision's normal numbers.
    """

    band: Tensor

    def __init__(self, maps: int, size: int = 5, alpha: float = 1e-4, beta: float = 0.75, k: float = 2.0) -> None:
        super().__init__()
        if beta != 0.75:
            raise ValueError(f"cross-map normalisation is built for beta 0.75, got {beta}")
        self.maps, self.size, self.alpha, self.beta, self.k = maps, size, alpha, beta, k
        self.register_buffer("band", _band(maps, size), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        # Squares from 256 on are beyond float16, though values and quotients are not; bfloat16 has float32's range.
        wide = x.float() if x.dtype == torch.float16 else x
        weights = self.band.to(wide) * (self.alpha / self.size)
        scale = functional.conv2d(wide * wide, weights).add_(self.k)
        root = scale.rsqrt()
        return (wide * (root * root.sqrt())).to(x.dtype)

    def extra_repr(self) -> str:
        return f"{self.maps}, size={self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"


def _band(maps: int, size: int) -> Tensor:
    """Matrix [maps, maps, 1, 1] that sums map i's neighbours i - size//2 .. i + (size-1)//2."""
    index = torch.arange(maps, device="cpu")  # a net may be built on the meta device and filled later
    distance = index[None, :] - index[:, None]
    inside = (distance >= -(size // 2)) & (distance <= (size - 1) // 2)
    return inside.float()[:, :, None, None]
