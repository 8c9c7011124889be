"""A running average of the weights, and the statistics that BatchNorm needs beside it."""

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn, update_bn

from ..accuracy.logits import inputs
from ..net.checkpoint import Preprocessing
from ..pictures.labelled import Source

MEASURED = 512
BATCH = 64

Tensors = tuple[Tensor, ...] | list[Tensor]


def running_average(net: nn.Sequential, share: float) -> AveragedModel | None:
    """The average of a net's weights, that share of the past at each step and less in the first; None for 0."""
    if not share:
        return None

    def follow(average: Tensors, current: Tensors, there: Tensor | int) -> None:
        seen = int(followed.n_averaged)  # the same as `there`, which a GPU would have to be waited for
        past = min(share, (1 + seen) / (10 + seen))
        get_ema_multi_avg_fn(past)(average, current, there)  # type: ignore[no-untyped-call]

    followed = AveragedModel(net, multi_avg_fn=follow)
    return followed


def measure_statistics(average: AveragedModel, pictures: Source, preprocessing: Preprocessing, side: int) -> None:
    """Measure BatchNorm's statistics under the average's own weights, on at most 512 pictures at `side` pixels.

    Those of the nets that it averages are not its own, least of all where the cross-map normalisation came in.
    """
    count = min(MEASURED, len(pictures))
    chosen = torch.linspace(0, len(pictures) - 1, count).round().long().tolist()
    batches = -(-count // BATCH)
    device = next(average.parameters()).device
    # Pictures lie in the order of their classes, and statistics are means over batches: each has some of all classes.
    mixed = (inputs(pictures, chosen[i::batches], preprocessing, side, device) for i in range(batches))
    update_bn(mixed, average)
