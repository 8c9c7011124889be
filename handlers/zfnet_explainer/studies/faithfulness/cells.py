"""A picture as a grid of square cells, the last ones cut off at its border, covered one after another."""

import torch
from torch import Tensor
from torch.nn import functional

from ...net.chain import Chain

BATCH = 64
Grid = tuple[int, int]


def grid_of(image: Tensor, side: int) -> Grid:
    """Rows and columns of cells of `side` pixels over an image [channels, height, width]."""
    return -(-image.shape[1] // side), -(-image.shape[2] // side)


def cell_means(pixels: Tensor, side: int) -> Tensor:
    """Mean of a map [height, width] over each of its cells of `side` pixels [rows, cols]."""
    return functional.avg_pool2d(pixels[None, None].double(), side, ceil_mode=True)[0, 0]


def most_first(scores: Tensor, generator: torch.Generator) -> Tensor:
    """Flat indices of scores [rows, cols] from the largest to the smallest, equal ones in a random order."""
    shuffled = torch.randperm(scores.numel(), generator=generator)
    return shuffled[scores.flatten().cpu()[shuffled].argsort(descending=True, stable=True)]


def largest_share(scores: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """The share of the cells with the largest scores [rows, cols], as a mask; at least one, equal ones by chance."""
    count = max(1, round(share * scores.numel()))
    mask = torch.zeros(scores.numel(), dtype=torch.bool)
    mask[most_first(scores, generator)[:count]] = True
    return mask.view(scores.shape)


def closeness(rows: int, cols: int) -> Tensor:
    """How close each cell lies to the middle of the grid [rows, cols]: minus its squared distance."""
    down, across = (torch.arange(n, dtype=torch.float64) - (n - 1) / 2 for n in (rows, cols))
    return -(down[:, None] ** 2 + across**2)


def cover(image: Tensor, fill: Tensor, covered: Tensor, side: int) -> Tensor:
    """The image [channels, h, w] with `fill` where cells are covered: bool [n, rows, cols] -> [n, channels, h, w]."""
    _, height, width = image.shape
    pixels = covered.to(image.device).repeat_interleave(side, 1).repeat_interleave(side, 2)[:, :height, :width]
    return torch.where(pixels[:, None], fill, image)


@torch.inference_mode()
def deletion_curves(
    chain: Chain, image: Tensor, fill: Tensor, target: int, orders: Tensor, side: int, steps: int
) -> Tensor:
    """Probability of `target` while cells of `side` pixels are covered in `orders` [n, rows * cols]: [n, steps + 1].

    Step s has covered the first s / steps of the cells: none at 0, all of them at the end.
    """
    grid, rank = grid_of(image, side), orders.argsort(1)
    counts = [round(rank.shape[1] * step / steps) for step in range(steps + 1)]
    between = torch.stack([rank < count for count in counts[1:-1]], 1).view(-1, *grid)
    ends = torch.tensor([False, True])[:, None, None].expand(2, *grid)  # all orders have the same
    probabilities = [
        chain(cover(image, fill, covered, side)).softmax(1)[:, target].cpu()
        for covered in torch.split(torch.cat([between, ends]), BATCH)
    ]
    inner, shared = torch.split(torch.cat(probabilities), [len(between), len(ends)])
    first, last = (end.expand(len(orders), 1) for end in shared)
    return torch.cat([first, inner.view(len(orders), -1), last], 1)
