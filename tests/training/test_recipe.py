"""What holds in which epoch."""

import inspect
import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from zfnet_explainer.commands.train import train
from zfnet_explainer.training.recipe import FAST, PAPER, RECIPES, Phase, Recipe, with_options

RECIPE = Recipe((Phase(64, 2), Phase(96, 1), Phase(128, 3)), batch=4, learning_rate=0.1, dropout=0.5, norm_epochs=2)


def test_sides_and_normalisation() -> None:
    assert RECIPE.epochs == 6
    assert [RECIPE.side(epoch) for epoch in range(6)] == [64, 64, 96, 128, 128, 128]
    assert [RECIPE.cross_map_norm(epoch) for epoch in range(6)] == [False] * 4 + [True] * 2
    assert all(replace(RECIPE, norm_epochs=None).cross_map_norm(epoch) for epoch in range(6))


def test_each_epoch_belongs_to_a_phase() -> None:
    assert [RECIPE.phase(epoch) for epoch in range(6)] == [
        *[RECIPE.phases[0]] * 2, RECIPE.phases[1], *[RECIPE.phases[2]] * 3
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("epoch", "warm_up", "rate"),
    [(0, 0, 0.1), (3, 0, 0.05), (6, 0, 0), (0, 1.5, 0.01), (3, 1.5, 0.05), (2, 4, 0.1 * 0.75 * 0.55), (2, 0, 0.075)],
)
def test_the_rate_rises_from_a_tenth_and_falls_by_half_a_cosine(epoch: float, warm_up: float, rate: float) -> None:
    assert replace(RECIPE, warm_up=warm_up).rate(epoch) == pytest.approx(rate, abs=1e-12)


def test_the_default_recipe_is_what_made_the_shipped_net() -> None:
    """But for what belongs to a run: its seed, and what it held back."""
    made = json.loads(Path("model_store/zfnet.json").read_text())["training"]["recipe"]
    default = inspect.signature(train).parameters["recipe"].default
    told = json.loads(json.dumps(asdict(RECIPES[default])))
    assert made | {"seed": 0, "hold_back": 0.0} == told


def test_options_that_are_not_given_come_from_the_recipe() -> None:
    assert with_options(PAPER, dropout=None, seed=None) == PAPER
    assert with_options(FAST, dropout=0.0, batch_norm=False) == replace(FAST, dropout=0.0, batch_norm=False)
