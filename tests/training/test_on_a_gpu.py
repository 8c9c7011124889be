"""A training step and an evaluation on a GPU, with tensors that have a device and no values."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from zfnet_explainer.accuracy.logits import logits
from zfnet_explainer.training.recipe import Recipe

from ..chains import like_zfnet
from ..gpu.fakes import GPU, on_a_card, ones
from .runs import PREPROCESSING, RECIPE, SIDE, pictures, trainer


class NothingMadeHere(TorchFunctionMode):
    """A tensor made of Python's numbers for a GPU is made on the CPU, and copying it there makes the GPU wait."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Sequence[type], args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        made = func(*args, **(kwargs or {}))
        if func in (torch.tensor, torch.as_tensor, Tensor.new_tensor):
            assert made.device != GPU, func
        return made


def test_what_is_made_here_for_a_card_is_an_error() -> None:
    """Or the next test could not fail."""
    with on_a_card(nn.Sequential()), NothingMadeHere():
        assert torch.tensor([1.0]).device != GPU
        with pytest.raises(AssertionError, match="tensor"):
            torch.tensor([1.0], device=GPU)
        with pytest.raises(AssertionError, match="new_tensor"):
            ones(2).new_tensor(3.0)


@pytest.mark.parametrize(
    "recipe", [RECIPE, replace(RECIPE, filter_radius=0.1, averaging=0)], ids=["averaged", "clipped"]
)
def test_a_training_step_stays_there_and_waits_for_nothing(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The backward pass is torch's, and asks for a driver: gradients are set in its place."""
    trained = trainer(tmp_path, recipe)

    def backward(loss: torch.Tensor) -> None:
        assert loss.requires_grad
        for weight in trained.net.parameters():
            weight.grad = torch.ones_like(weight)

    monkeypatch.setattr(torch.autograd, "backward", backward)
    monkeypatch.setattr(trained, "mix", lambda images, labels: (images, labels))  # draws on the CPU, by value
    names = {id(weight): name for name, weight in trained.net.named_parameters()}
    average = trained.average.module if trained.average else nn.Sequential()
    if trained.average:
        assert trained.average._buffers.pop("n_averaged") == torch.zeros((), device="cpu")
        monkeypatch.setattr(trained.average, "n_averaged", 0, raising=False)  # a value that may be asked for
    images, labels = torch.zeros(4, 3, SIDE, SIDE, dtype=torch.uint8), torch.zeros(4, dtype=torch.long)
    with on_a_card(trained.net), on_a_card(average):
        there = dict(trained.net.named_parameters())
        for group in trained.optimiser.param_groups:
            group["params"] = [there[names[id(weight)]] for weight in group["params"]]
        trained.process, trained.shift = replace(trained.process, device=GPU), trained.shift.to(GPU)
        with NothingMadeHere():
            for _ in range(2):
                assert trained._step(images, labels).device == GPU


class Fetched(TorchFunctionMode):
    """Counts how often something is fetched from the card."""

    count = 0

    def __torch_function__(
        self, func: Callable[..., Any], types: Sequence[type], args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        self.count += func is Tensor.cpu
        return func(*args, **(kwargs or {}))


def test_an_evaluation_waits_at_its_end_alone() -> None:
    with on_a_card(like_zfnet(size=(3, 29, 29))) as net, Fetched() as fetched:
        assert logits(net, pictures(7), PREPROCESSING, 29, 3).shape == (7, 5)
    assert fetched.count == 1
