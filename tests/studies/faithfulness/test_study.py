"""The study of some pictures: each fill's numbers are its own, and few pictures are shuffled for."""

from collections.abc import Callable
from statistics import fmean

import pytest
import torch
from torch import Tensor

from zfnet_explainer.methods.incremental.occluder import Occluder
from zfnet_explainer.net.record import Preprocessing
from zfnet_explainer.studies.faithfulness import study as studied
from zfnet_explainer.studies.faithfulness.contrast import (
    CHANCE,
    CONTRAST,
    MIDDLE,
    PLAIN,
    SECOND,
    Move,
    contrasts,
    picture_moves,
    result,
    second,
)
from zfnet_explainer.studies.faithfulness.covering import OWN, Fall, falls, mean_falls
from zfnet_explainer.studies.faithfulness.curves import CENTRE, MAP, PROJECTION, RANDOM, Curves, Protocol, faithfulness
from zfnet_explainer.studies.faithfulness.study import study
from zfnet_explainer.studies.faithfulness.subject import subject

from ...chains import like_zfnet

SIDE = 40
PREPROCESSING = Preprocessing(SIDE, (0.5,) * 3, (0.25,) * 3)
COLOURS = {"gray": 128 / 255, "black": 0.0}


def pictures(count: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(256, (count, 3, SIDE, SIDE), generator=generator, dtype=torch.uint8)


def unheard(_: int) -> None:
    """Progress that nobody follows."""


def test_each_fill_covers_in_its_own_colour() -> None:
    """Against the same picture by picture, covered in that colour."""
    chain, some, fills = like_zfnet(size=(3, SIDE, SIDE)), pictures(2), list(COLOURS)
    found = study(chain, PREPROCESSING, some, fills, 0, unheard, unheard)
    contrasted = contrasts(chain, PREPROCESSING, some, torch.tensor([0, 1]), fills, 0, unheard).results
    moved = {fill: contrasted[fill][SECOND].moves[CONTRAST].log_odds.mean for fill in fills}
    for fill, value in COLOURS.items():
        colour = torch.full((3, SIDE, SIDE), (value - 0.5) / 0.25)
        ends, lost, odds = [], [], []
        for pixels in some:
            one, generator = subject(chain, PREPROCESSING, pixels), torch.Generator().manual_seed(0)
            ends.append(float(chain(colour[None]).softmax(1)[0, one.target]))
            lost.append(falls(chain, one, colour, generator)[OWN].total)
            (moves,) = picture_moves(Occluder(chain), one, colour, [second(one.logits)], Protocol.of(SIDE), generator)
            odds.append(moves[CONTRAST].log_odds)
        assert found.faithfulness[fill].orders[CENTRE].deletion_curve[-1] == pytest.approx(fmean(ends), abs=1e-5)
        assert found.falls[fill][OWN].total.mean == pytest.approx(fmean(lost), abs=1e-5)
        assert moved[fill] == pytest.approx(fmean(odds), abs=1e-4)
    assert abs(moved["gray"] - moved["black"]) > 1e-2, "else other pictures are needed"


def test_weights_are_shuffled_for_the_first_pictures_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(studied, "RANDOMISED", 2)
    heard: list[int] = []
    found = study(like_zfnet(size=(3, SIDE, SIDE)), PREPROCESSING, pictures(3), ["gray"], 0, unheard, heard.append)
    assert (found.images, found.randomised_images) == (3, 2)
    assert sum(heard) == 5 * 2, "layers and pictures"


VALUES = 0.1, 0.5, 0.2, 0.9, 0.4
CURVES = [
    dict.fromkeys((MAP, PROJECTION, CENTRE, RANDOM), Curves(*torch.tensor([[1, v, 0], [0, v, 1]]))) for v in VALUES
]
MOVES = [dict.fromkeys((CONTRAST, PLAIN, MIDDLE, CHANCE), Move(v, v, v)) for v in VALUES]


@pytest.mark.parametrize(
    "summed_up",
    [
        lambda seed: faithfulness(CURVES, seed).orders[MAP],
        lambda seed: mean_falls([{OWN: Fall(v, v, v)} for v in VALUES], seed)[OWN],
        lambda seed: result(MOVES, seed).moves[PLAIN],
    ],
    ids=["curves", "falls", "contrasts"],
)
def test_the_seed_draws_the_resamples(summed_up: Callable[[int], object]) -> None:
    assert summed_up(3) == summed_up(3) != summed_up(4)
