"""The average of the weights, and batch statistics of its own."""

from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
import torch
from torch import Tensor

from zfnet_explainer.pictures.labelled import Pictures
from zfnet_explainer.training import averaging
from zfnet_explainer.training.averaging import measure_statistics
from zfnet_explainer.training.loop import Trainer
from zfnet_explainer.training.recipe import Phase

from .runs import PREPROCESSING, RECIPE, SIDE, after_each_step, pictures, trainer


def test_the_average_follows_the_weights_of_every_step(tmp_path: Path) -> None:
    """Less of the past in the first steps, and none of before the normalisation came in (RECIPE: in epoch 2)."""
    run = trainer(tmp_path, replace(RECIPE, phases=(Phase(SIDE, 3),), averaging=0.3))
    steps = len(run.train) // RECIPE.batch
    taken = 0
    expected: dict[str, Tensor] = {}

    def follow() -> None:
        nonlocal taken
        seen = taken if taken < steps else taken - steps  # since the average began
        past = min(0.3, (1 + seen) / (10 + seen)) if seen else 0.0
        for name, value in run.net.named_parameters():
            expected[name] = past * expected.get(name, torch.zeros(())) + (1 - past) * value.detach().double()
        taken += 1

    run.optimiser.register_step_post_hook(after_each_step(follow))
    run.run()
    assert taken == 3 * steps
    for name, value in run.trained().named_parameters():
        torch.testing.assert_close(value.detach().double(), expected[name], rtol=1e-5, atol=1e-6)


def test_the_batch_statistics_are_the_averages_own(tmp_path: Path) -> None:
    """Of what its first convolution makes of the pictures that are trained on, not a mean of the nets' statistics."""
    run = trainer(tmp_path)
    run.run()
    result = run.trained()
    x = PREPROCESSING.standardise(run.train.sample())
    maps = result.get_submodule("conv1")(x).transpose(0, 1).flatten(1).detach()
    for net, same in ((result, True), (run.net, False)):
        norm = net.get_submodule("bn_conv1")
        mean, var = cast(Tensor, norm.running_mean), cast(Tensor, norm.running_var)
        assert torch.allclose(mean, maps.mean(1), rtol=1e-3, atol=1e-5) is same
        assert torch.allclose(var, maps.var(1), rtol=1e-3, atol=1e-5) is same


def assert_statistics(run: Trainer, measured: Pictures, expected: Pictures, rtol: float, atol: float) -> None:
    """Statistics measured on some pictures are those of what the first convolution makes of others."""
    assert run.average is not None
    measure_statistics(run.average, measured, PREPROCESSING, SIDE)
    maps = run.net.get_submodule("conv1")(PREPROCESSING.standardise(expected.images)).transpose(0, 1).flatten(1)
    norm = run.average.module.get_submodule("bn_conv1")
    torch.testing.assert_close(norm.running_mean, maps.mean(1).detach(), rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(norm.running_var, maps.var(1).detach(), rtol=rtol, atol=atol)


def test_the_batch_statistics_are_of_all_classes_together(tmp_path: Path) -> None:
    """Pictures in the order of their classes, four batches: in the mean over batches of one class, what tells classes
    apart would be no variance."""
    source = pictures(256)
    order = source.labels.argsort(stable=True)
    ordered = replace(source, images=source.images[order], labels=source.labels[order])
    assert_statistics(trainer(tmp_path), ordered, source, rtol=0.02, atol=0)


def test_the_statistics_of_many_pictures_are_of_some_from_all_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each picture four times, in the order of their classes: a quarter of them, evenly spread, has each once."""
    monkeypatch.setattr(averaging, "MEASURED", 64)
    source = pictures(64)
    order = source.labels.argsort(stable=True).repeat_interleave(4)
    ordered = replace(source, images=source.images[order], labels=source.labels[order])
    assert_statistics(trainer(tmp_path), ordered, source, rtol=1e-3, atol=1e-5)


def test_a_run_without_averaging_ends_with_the_weights_as_they_are(tmp_path: Path) -> None:
    run = trainer(tmp_path, replace(RECIPE, averaging=0.0))
    run.run()
    for name, value in run.trained().state_dict().items():
        assert torch.equal(value, run.net.state_dict()[name]), name
    again = trainer(tmp_path / "next", start=tmp_path)
    first = "conv1.weight"
    assert torch.equal(again.net.state_dict()[first], run.net.state_dict()[first])
