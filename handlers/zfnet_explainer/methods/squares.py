"""The squares of an occlusion map: where they stand."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Squares:
    """Squares of side `window` over a picture, row by row: `tops` x `lefts` are their corners."""

    window: int
    stride: int
    tops: tuple[int, ...]
    lefts: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.tops) * len(self.lefts)

    @property
    def corners(self) -> Tensor:
        """(top, left) of each square [positions, 2], the left one running fastest."""
        starts = (torch.tensor(each, device="cpu") for each in (self.tops, self.lefts))
        return torch.cartesian_prod(*starts).view(-1, 2)


def squares(height: int, width: int, window: int, stride: int) -> Squares:
    """Lay squares `stride` pixels apart, whole ones only, the last one ending at the border.

    Border policy: 0, stride, 2 stride, ... while the square fits; a margin that is left over gets
    one more square that ends exactly at the border. Raises ValueError for a window or stride that
    does not fit.
    """
    if not 1 <= window <= min(height, width):
        raise ValueError(f"window must be 1 to {min(height, width)} pixels, got {window}")
    if not 1 <= stride <= window:
        raise ValueError(f"stride must be 1 to {window} pixels (the window), got {stride}")
    return Squares(window, stride, _starts(height, window, stride), _starts(width, window, stride))


def inside(starts: Tensor, window: int, size: int) -> Tensor:
    """Which of `size` pixels in a row lie in the windows from each start [n] on: bool [n, size]."""
    pixels = torch.arange(size, device=starts.device)
    return (pixels >= starts[:, None]) & (pixels < starts[:, None] + window)


def spread(squares: Squares, values: Tensor, height: int, width: int) -> Tensor:
    """Mean over the squares that cover each pixel [height, width] of a value per square [rows, cols]; 0 under none."""
    down, across = (
        inside(torch.tensor(starts, device=values.device), squares.window, size).double()
        for starts, size in ((squares.tops, height), (squares.lefts, width))
    )
    count = torch.outer(down.sum(0), across.sum(0))
    return (down.T @ values.double() @ across / count.clamp_min(1)).float()


def smallest_stride(height: int, width: int, window: int, limit: int) -> int | None:
    """The smallest stride whose squares number at most `limit`; None where even the window is too small."""
    for stride in range(1, window + 1):
        if len(_starts(height, window, stride)) * len(_starts(width, window, stride)) <= limit:
            return stride
    return None


def _starts(size: int, window: int, stride: int) -> tuple[int, ...]:
    starts = list(range(0, size - window + 1, stride))
    if starts[-1] != size - window:
        starts.append(size - window)
    return tuple(starts)
