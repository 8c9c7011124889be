"""Labelled pictures through a net at another size than they are stored in."""

import torch
from torch.nn import functional

from zfnet_explainer.accuracy.logits import logits, top1
from zfnet_explainer.net.record import Preprocessing
from zfnet_explainer.pictures.labelled import Pictures

from ..chains import like_zfnet

PREPROCESSING = Preprocessing(37, (0.5, 0.4, 0.3), (0.2, 0.25, 0.3))


def test_pictures_are_resized_without_rounding() -> None:
    """Bytes would be rounded again, and a GPU resizes none."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (7, 3, 37, 37), generator=generator, dtype=torch.uint8)
    pictures = Pictures(images, torch.arange(7) % 5, tuple(map(str, range(7))), tuple("abcde"))
    chain, exact = like_zfnet(size=(3, 29, 29)), like_zfnet(size=(3, 29, 29)).double()
    small = functional.interpolate(images.double(), (29, 29), mode="bilinear", antialias=True)
    mean, deviation = (torch.tensor(v).double().view(3, 1, 1) for v in (PREPROCESSING.mean, PREPROCESSING.std))
    expected = exact((small / 255 - mean) / deviation)
    heard: list[int] = []
    found = logits(chain, pictures, PREPROCESSING, 29, 3, heard.append)
    torch.testing.assert_close(found.double(), expected, rtol=0, atol=1e-5 * float(expected.abs().max()))
    assert heard == [3, 3, 1]
    share = float((expected.argmax(1) == pictures.labels).double().mean())
    assert top1(chain, pictures, PREPROCESSING, 29) == share
