"""Occlusion sensitivity (Zeiler & Fergus section 4.2, Figure 7), the plain evaluation of every square."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ..net.chain import Chain
from .squares import Squares, inside

CONVENTIONS = {
    "squares": "tops and lefts are 0, stride, 2 stride, ... while the square fits; a margin left over gets "
    "one more square that ends exactly at the border; every square has full size",
    "fill": "the square's pixels are replaced before standardisation",
    "feature_activity": "sum over the feature's map, with the square in place",
    "probability": "the softmax of the logits over the record's temperature, so that probabilities mean what they say",
    "target_probability": "probability of the target class, with the square in place",
    "log_odds": "log p(target) - log p(contrast's class), the difference of their logits over the temperature",
    "most_probable_class": "class index of the largest logit, ties to the lower index",
}


@dataclass(frozen=True, eq=False)
class OcclusionMaps:
    """What every square did: logits [rows, cols, classes] and the feature map's sum [rows, cols]."""

    logits: Tensor
    feature_activity: Tensor


@torch.inference_mode()
def occlude_full(
    chain: Chain, image: Tensor, fill: Tensor, squares: Squares, layer: str, feature: int, batch: int = 32
) -> OcclusionMaps:
    """Paint each square and run the whole net on it, `batch` pictures at a time.

    `image` and `fill` are standardised pictures [channels, height, width]: a square shows `fill`
    where it stands. `layer` names the rectified convolution whose map `feature` is summed. Raises ValueError for one
    that is not there.
    """
    chain.check_maps(layer, [feature])
    logits, activity = [], []
    for corners in torch.split(squares.corners, batch):
        tops, lefts = corners.to(image.device).unbind(1)
        rows, cols = (
            inside(starts, squares.window, size) for starts, size in zip((tops, lefts), image.shape[1:], strict=True)
        )
        painted = torch.where(rows[:, None, :, None] & cols[:, None, None, :], fill, image)
        for name, output in chain.outputs(painted):
            if name == layer:
                activity.append(output[:, feature].sum((1, 2)))
        logits.append(output)
    return as_maps(squares, torch.cat(logits), torch.cat(activity))


def as_maps(squares: Squares, logits: Tensor, activity: Tensor) -> OcclusionMaps:
    """Lay results per position [positions, ...] out as the grid of squares."""
    grid = len(squares.tops), len(squares.lefts)
    return OcclusionMaps(logits.view(*grid, -1), activity.view(grid))
