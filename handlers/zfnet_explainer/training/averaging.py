"""A running average of the weights, and the statistics that BatchNorm needs beside it."""

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, update_bn

from ..accuracy.logits import inputs
from ..net.device import device_of
from ..net.record import Preprocessing
from ..pictures.labelled import Source

MEASURED = 512
BATCH = 64


class RunningAverage(AveragedModel):
    """The average of a net's weights: `share` of the past at each step, and less in the first."""

    def __init__(self, net: nn.Module, share: float) -> None:
        super().__init__(net)
        self.share = share

    @torch.no_grad()
    def update_parameters(self, model: nn.Module) -> None:
        """Torch's copies the count of the steps to a GPU, which has to be waited for: here it stays on the CPU."""
        seen = int(self.n_averaged)
        past = min(self.share, (1 + seen) / (10 + seen)) if seen else 0.0
        for average, weight in zip(self.module.parameters(), model.parameters(), strict=True):
            average.lerp_(weight, 1 - past)
        for ours, theirs in zip(self.module.buffers(), model.buffers(), strict=True):
            ours.copy_(theirs)
        self.n_averaged += 1


def running_average(net: nn.Sequential, share: float) -> RunningAverage | None:
    """The average of a net's weights; None for a share of 0."""
    return RunningAverage(net, share) if share else None


def measure_statistics(average: AveragedModel, pictures: Source, preprocessing: Preprocessing, side: int) -> None:
    """Measure BatchNorm's statistics under the average's own weights, on at most 512 pictures at `side` pixels.

    Those of the nets that it averages are not its own, least of all where the cross-map normalisation came in.
    """
    count = min(MEASURED, len(pictures))
    chosen = torch.linspace(0, len(pictures) - 1, count).round().long().tolist()
    batches = -(-count // BATCH)
    device = device_of(average)
    # Pictures lie in the order of their classes, and statistics are means over batches: each has some of all classes.
    mixed = (inputs(pictures, chosen[i::batches], preprocessing, side, device) for i in range(batches))
    update_bn(mixed, average)
