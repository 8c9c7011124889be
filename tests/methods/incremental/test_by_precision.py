"""A chain's occluders in several precisions, which share memory."""

import pytest
import torch

from zfnet_explainer.methods.incremental import by_precision
from zfnet_explainer.methods.incremental.by_precision import Occluders
from zfnet_explainer.methods.squares import squares

from ...chains import SMALL, picture


def test_precisions_in_turn_give_what_each_gives_alone() -> None:
    chain = SMALL["like_zfnet"](0)
    fill = picture(chain, 9)
    grid = squares(*chain.input_size[1:], 9, 5)
    shared = Occluders(chain, None)
    for seed in (1, 2):
        image = picture(chain, seed)
        clean = chain.run(image[None])
        for precision in (torch.float32, torch.bfloat16):
            found = shared(precision, image, clean, fill, grid, 0)
            alone = Occluders(chain, None)(precision, image, clean, fill, grid, 0)
            assert found.logits.dtype == precision
            torch.testing.assert_close(found.logits, alone.logits, rtol=1e-6, atol=1e-6)
            torch.testing.assert_close(found.feature_activity, alone.feature_activity, rtol=1e-6, atol=1e-6)


def test_each_precision_is_autotuned_once_when_it_is_first_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    tuned: list[torch.dtype] = []
    monkeypatch.setattr(by_precision, "autotune", lambda made: tuned.append(next(made.chain.parameters()).dtype))
    shared = Occluders(SMALL["like_zfnet"](0), None)
    assert not tuned
    for precision in (torch.float32, torch.bfloat16, torch.float32):
        shared.of(precision)
    assert tuned == [torch.float32, torch.bfloat16]


def test_what_one_precision_holds_another_writes_over() -> None:
    """Memory for intermediate values is that of one precision, however many there are."""
    chain = SMALL["like_zfnet"](0)
    image, fill = picture(chain, 1), picture(chain, 9)
    clean, grid = chain.run(image[None]), squares(*chain.input_size[1:], 9, 5)
    shared = Occluders(chain, None)
    workspace = shared.of(torch.float32)._workspace
    shared(torch.float32, image, clean, fill, grid, 0)
    before = {role: len(block) for role, block in workspace._blocks.items()}
    shared(torch.bfloat16, image, clean, fill, grid, 0)
    assert before
    assert {role: len(block) for role, block in workspace._blocks.items()} == before
