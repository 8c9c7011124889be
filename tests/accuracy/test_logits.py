"""The logits of labelled pictures, at another size than they are stored in too, and how many answers are right."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from zfnet_explainer.accuracy.logits import logits, top1
from zfnet_explainer.net.record import Preprocessing
from zfnet_explainer.pictures.labelled import Pictures

from ..chains import like_zfnet, plain
from ..training.runs import PREPROCESSING, SIDE, pictures

UNEVEN = Preprocessing(37, (0.5, 0.4, 0.3), (0.2, 0.25, 0.3))


def test_pictures_are_resized_without_rounding() -> None:
    """Bytes would be rounded again, and a GPU resizes none."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (7, 3, 37, 37), generator=generator, dtype=torch.uint8)
    pictures = Pictures(images, torch.arange(7) % 5, tuple(map(str, range(7))), tuple("abcde"))
    chain, exact = like_zfnet(size=(3, 29, 29)), like_zfnet(size=(3, 29, 29)).double()
    small = functional.interpolate(images.double(), (29, 29), mode="bilinear", antialias=True)
    mean, deviation = (torch.tensor(v).double().view(3, 1, 1) for v in (UNEVEN.mean, UNEVEN.std))
    expected = exact((small / 255 - mean) / deviation)
    heard: list[int] = []
    found = logits(chain, pictures, UNEVEN, 29, 3, heard.append)
    torch.testing.assert_close(found.double(), expected, rtol=0, atol=1e-5 * float(expected.abs().max()))
    assert heard == [3, 3, 1]
    share = float((expected.argmax(1) == pictures.labels).double().mean())
    assert top1(chain, pictures, UNEVEN, 29) == share


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
