"""Does a contrast map show what the choice between two classes depends on? Cover that, and see how their odds move.

A contrast map has the log odds of the target against another class under every square, the plain map the
target's probability. Of the cells under whose squares that falls most, as many are covered at once by either.
"""

from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...methods.incremental.occluder import Occluder
from ...methods.squares import spread
from ...net.chain import Chain
from ...net.record import Preprocessing
from ..statistics import Estimate, mean_estimate, mean_share
from .cells import cell_means, closeness, cover, largest_share
from .curves import Protocol
from .subject import Subject, filled, occluded, subject

CONTRAST, PLAIN, MIDDLE, CHANCE = "contrast map", "plain map", "middle", "chance"
SECOND, TRUE = "second class", "true class"
SHARE = 0.05
DRAWS = 4


@dataclass(frozen=True)
class Move:
    """What covering did to the target: nats that its log odds fell, what its probability fell, whether the other won.

    `overtaken` is 1 where the other class has become the more probable of the two, else 0; between them for a mean.
    """

    log_odds: float
    probability: float
    overtaken: float


MovesByOther = dict[str, dict[str, Move]]  # of one picture under one fill: by the other class, then by what covers


@dataclass(frozen=True)
class MeanMove:
    """`Move` over all pictures."""

    log_odds: Estimate
    probability: Estimate
    overtaken: Estimate


@dataclass(frozen=True)
class Advantage:
    """How many nats more the contrast map's cells move the odds than a baseline's, and the shares more and fewer."""

    baseline: str
    log_odds: Estimate
    more: float
    fewer: float


@dataclass(frozen=True)
class Result:
    """One fill and one kind of other class, over the pictures that have one."""

    images: int
    moves: dict[str, MeanMove]
    advantages: tuple[Advantage, ...]


@dataclass(frozen=True)
class Contrasts:
    """By the fill that covers, then by the other class: the second, or the true one where the net is wrong.

    `classes` are those of the pictures, sorted.
    """

    images: int
    classes: tuple[int, ...]
    wrong: int
    protocol: Protocol
    share: float
    results: dict[str, dict[str, Result]]


def contrasts(
    chain: Chain, preprocessing: Preprocessing, pictures: Tensor, labels: Tensor, fills: Sequence[str], seed: int,
    advance: Callable[[int], object],
) -> Contrasts:  # fmt: skip
    """Study at least two pictures uint8 [n, channels, h, w] of classes `labels` [n]; `seed` draws whatever is random.

    The net has at least two classes. `advance` hears of every picture. The true class is left out where fewer than
    two pictures are wrong.
    """
    generator = torch.Generator().manual_seed(seed)
    occluder, protocol = Occluder(chain), Protocol.of(preprocessing.size)
    found: list[dict[str, MovesByOther]] = []
    for pixels, label in zip(pictures, labels.tolist(), strict=True):
        one = subject(chain, preprocessing, pixels)
        others = {SECOND: second(one.logits)} | ({TRUE: label} if label != one.target else {})
        by_fill = {}
        for name in fills:
            fill = filled(one, preprocessing, name, protocol.window)
            moves = picture_moves(occluder, one, fill, list(others.values()), protocol, generator)
            by_fill[name] = dict(zip(others, moves, strict=True))
        found.append(by_fill)
        advance(1)
    return Contrasts(
        images=len(pictures),
        classes=tuple(sorted(set(labels.tolist()))),
        wrong=sum(TRUE in by_fill[fills[0]] for by_fill in found),
        protocol=protocol,
        share=SHARE,
        results={name: _results([by_fill[name] for by_fill in found], seed) for name in fills},
    )


@torch.inference_mode()
def picture_moves(
    occluder: Occluder, one: Subject, fill: Tensor, others: Sequence[int], protocol: Protocol,
    generator: torch.Generator,
) -> list[dict[str, Move]]:  # fmt: skip
    """Cover a twentieth of the cells in four ways, for each of the other classes; that by chance is a mean of four."""
    grid, logits = occluded(occluder, one.image, one.clean, fill, protocol.window, protocol.stride)

    def cells(drop: Tensor) -> Tensor:
        return cell_means(spread(grid, drop, *one.image.shape[1:]), protocol.stride)

    plain = cells(one.probability - logits.softmax(2)[..., one.target])
    against = [cells(log_odds(one.logits, one.target, other) - log_odds(logits, one.target, other)) for other in others]
    scores = [*against, plain, closeness(*plain.shape), *[torch.zeros_like(plain)] * DRAWS]
    covered = torch.stack([largest_share(score, SHARE, generator) for score in scores])
    after = occluder.chain(cover(one.image, fill, covered, protocol.stride))
    own, shared = after[: len(others)], after[len(others) :]
    return [_moves(one, torch.cat([mine[None], shared]), other) for mine, other in zip(own, others, strict=True)]


def _moves(one: Subject, after: Tensor, other: int) -> dict[str, Move]:
    """From logits [3 + draws, classes] under the covers in the order of their names, chance last."""
    odds = log_odds(after, one.target, other)
    fallen = log_odds(one.logits, one.target, other) - odds
    values = torch.stack([fallen, one.probability - after.softmax(1)[:, one.target], (odds < 0).float()], 1)
    rows = [*values[:3], values[3:].mean(0)]
    return {name: Move(*row.tolist()) for name, row in zip((CONTRAST, PLAIN, MIDDLE, CHANCE), rows, strict=True)}


def log_odds(logits: Tensor, target: int, other: int) -> Tensor:
    """log p(target) - log p(other), in nats, of logits [..., classes]."""
    return logits[..., target] - logits[..., other]


def second(logits: Tensor) -> int:
    """The second most probable class of logits [classes], ties to the lower index."""
    return int(logits.argsort(descending=True, stable=True)[1])


def _results(found: Sequence[MovesByOther], seed: int) -> dict[str, Result]:
    """One fill's, by the other class, where at least two pictures have one."""
    moves = {other: [by_other[other] for by_other in found if other in by_other] for other in (SECOND, TRUE)}
    return {other: result(of_pictures, seed) for other, of_pictures in moves.items() if len(of_pictures) > 1}


def result(found: Sequence[dict[str, Move]], seed: int) -> Result:
    """Sum up at least two pictures; `seed` draws the resamples of the intervals."""
    values = {name: np.array([astuple(moves[name]) for moves in found]) for name in found[0]}
    moves = {name: _mean_move(rows, seed) for name, rows in values.items()}
    advantages = []
    for baseline in (PLAIN, MIDDLE, CHANCE):
        gained = values[CONTRAST][:, 0] - values[baseline][:, 0]
        more, fewer = (float(share.mean()) for share in (gained > 0, gained < 0))
        advantages.append(Advantage(baseline, mean_estimate(gained, seed), more, fewer))
    return Result(len(found), moves, tuple(advantages))


def _mean_move(rows: NDArray[np.float64], seed: int) -> MeanMove:
    """From the values of `Move` [pictures, 3]."""
    log_odds, probability, overtaken = rows.T
    return MeanMove(mean_estimate(log_odds, seed), mean_estimate(probability, seed), mean_share(overtaken, seed))
