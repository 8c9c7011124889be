"""Which phase an epoch belongs to."""

import pytest

from zfnet_explainer.training.recipe import Phase, Recipe

PHASES = (Phase(64, 2, False), Phase(96, 1, False), Phase(128, 3, True))


@pytest.mark.parametrize(("epoch", "index"), [(0, 0), (1, 0), (2, 1), (3, 2), (5, 2)])
def test_phase(epoch: int, index: int) -> None:
    recipe = Recipe(PHASES, batch=4, learning_rate=0.1, dropout=0.5, seed=0)
    assert recipe.epochs == 6
    assert recipe.phase(epoch) is PHASES[index]
