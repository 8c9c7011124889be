"""How many answers are right, of a net that is small or looks at less."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from zfnet_explainer.accuracy.logits import top1
from zfnet_explainer.pictures.labelled import Pictures

from ..chains import like_zfnet, plain
from ..training.runs import PREPROCESSING, SIDE, pictures


@pytest.mark.parametrize("batch", [2, 3, 64])
def test_top1_counts_right_answers(batch: int) -> None:
    chain, val = like_zfnet(size=(3, SIDE, SIDE)), pictures(7)
    guesses = plain(chain)((val.images / 255 - 0.5) / 0.25).argmax(1)
    labels = guesses.clone()
    labels[[1, 4]] = (labels[[1, 4]] + 1) % 5
    assert top1(chain, replace(val, labels=labels), PREPROCESSING, SIDE, batch) == pytest.approx(5 / 7)
    assert top1(chain, replace(val, labels=guesses), PREPROCESSING, SIDE, batch) == 1
    assert math.isclose(top1(chain, replace(val, labels=(guesses + 1) % 5), PREPROCESSING, SIDE, batch), 0)


def test_top1_at_a_smaller_side() -> None:
    class Brightest(torch.nn.Module):
        """Class 1 where the right half is the brighter one; says at which size it looked."""

        def __init__(self) -> None:
            super().__init__()
            self.scale = torch.nn.Parameter(torch.ones(1))
            self.seen: tuple[int, ...] = ()

        def forward(self, x: Tensor) -> Tensor:
            self.seen = tuple(x.shape[2:])
            half = x.shape[3] // 2
            return torch.stack([x[..., :half].mean((1, 2, 3)), x[..., half:].mean((1, 2, 3))], 1) * self.scale

    images = torch.zeros(4, 3, SIDE, SIDE, dtype=torch.uint8)
    images[1::2, ..., SIDE // 2 :] = 200
    images[::2, ..., : SIDE // 2] = 200
    net = Brightest()
    assert top1(net, Pictures(images, torch.tensor([0, 1, 0, 0]), (), ()), PREPROCESSING, 20) == 0.75
    assert net.seen == (20, 20)
