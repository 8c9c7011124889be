"""Occlusion sensitivity (Zeiler & Fergus section 4.2, Figure 7), the plain evaluation of every square."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ..net.chain import Chain
from ..net.device import without_autocast
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


def check_asked(chain: Chain, image: Tensor, fill: Tensor, squares: Squares, layer: str, feature: int) -> None:
    """Raise ValueError for what a chain cannot be asked.

    That is anything in training mode, a map that is not there, and pictures and squares for another size.
    """
    chain.check_evaluates()
    chain.check_maps(layer, [feature])
    for what, picture in (("image", image), ("fill", fill)):
        if [*picture.shape] != [*chain.input_size]:
            raise ValueError(f"the {what} is {[*chain.input_size]} for this chain, not {[*picture.shape]}")
    _, height, width = chain.input_size
    begins = min(squares.tops), min(squares.lefts)
    ends = max(squares.tops) + squares.window, max(squares.lefts) + squares.window
    if min(begins) < 0 or ends[0] > height or ends[1] > width:
        raise ValueError(
            f"squares from {begins} to {ends} are not within this chain's pictures of {(height, width)} pixels"
        )


@torch.inference_mode()
@without_autocast()
def occlude_full(
    chain: Chain, image: Tensor, fill: Tensor, squares: Squares, layer: str, feature: int, batch: int = 32
) -> OcclusionMaps:
    """Paint each square and run the whole net on it, `batch` pictures at a time.

    `image` and `fill` are standardised pictures [channels, height, width]: a square shows `fill`
    where it stands. `layer` names the rectified convolution whose map `feature` is summed. Raises ValueError as
    `check_asked` does.
    """
    check_asked(chain, image, fill, squares, layer, feature)
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
