"""Full, plain incremental and fast incremental evaluation say the same of small chains."""

import math

import pytest
import torch

from zfnet_explainer.methods.incremental import occluder
from zfnet_explainer.methods.incremental.occluder import Occluder
from zfnet_explainer.methods.occlusion import OcclusionMaps, occlude_full
from zfnet_explainer.methods.squares import squares

from ...chains import SMALL, picture
from .plain import occlude_plainly


def assert_equal(found: OcclusionMaps, expected: OcclusionMaps) -> None:
    torch.testing.assert_close(found.logits, expected.logits, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(found.feature_activity, expected.feature_activity, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kind", SMALL)
def test_three_ways_to_the_same_maps(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(occluder, "SHARE", math.inf)  # a square changes much of these small pictures
    chain = SMALL[kind](0).double()
    image, fill = (picture(chain, seed, torch.float64) for seed in (1, 2))
    clean = chain.run(image[None])
    grid = squares(*chain.input_size[1:], window=5, stride=5)
    for layer in (chain.features[0], chain.features[-1]):
        plain = occlude_plainly(chain, image, clean, fill, grid, layer, 1)
        assert_equal(plain, occlude_full(chain, image, fill, grid, layer, 1))
        assert_equal(plain, Occluder(chain)(image, clean, fill, grid, layer, 1))
    assert float((plain.logits - plain.logits[0, 0]).abs().max()) > 1e-2, "squares' positions matter"


def test_a_pixel_that_no_output_reads() -> None:
    """Every third column is skipped by a kernel of 2 at stride 3, so that its box is empty from there on."""
    chain = SMALL["with_gaps"](0)
    image, fill = picture(chain, 1), picture(chain, 2)
    clean = chain.run(image[None])
    grid = squares(*chain.input_size[1:], window=1, stride=1)
    maps = occlude_plainly(chain, image, clean, fill, grid, "relu1", 0)
    assert torch.equal(maps.logits[1, 2], maps.logits[3, 5])
    assert not torch.equal(maps.logits[1, 2], maps.logits[0, 0])
