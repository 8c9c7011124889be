"""Covering by a contrast map, against painting by hand and on nets whose choice between classes is known."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from zfnet_explainer.methods.incremental.occluder import Occluder
from zfnet_explainer.net.chain import Chain
from zfnet_explainer.net.record import Preprocessing
from zfnet_explainer.studies.faithfulness.contrast import (
    CHANCE,
    CONTRAST,
    MIDDLE,
    PLAIN,
    SECOND,
    TRUE,
    Move,
    contrasts,
    picture_moves,
    result,
    second,
)
from zfnet_explainer.studies.faithfulness.curves import Protocol
from zfnet_explainer.studies.faithfulness.subject import subject
from zfnet_explainer.studies.faithfulness.tables import contrast_tables
from zfnet_explainer.studies.statistics import mean_estimate, share_estimate

from ...chains import like_zfnet, named, plain

SIDE, CELL = 40, 4  # 10 x 10 cells: a twentieth is 5
CELLS = Protocol(window=CELL, stride=CELL)
PREPROCESSING = Preprocessing(SIDE, (0.5,) * 3, (0.5,) * 3)
SHARED, OWN = [(0, col) for col in range(5)], [(9, col) for col in range(5)]  # both off the middle
WHITE = torch.full((3, SIDE, SIDE), 255, dtype=torch.uint8)


def cell_net(*scores: dict[tuple[int, int], float], bias: tuple[float, ...]) -> Chain:
    """Each class's logit is its bias and the scores of the cells that are white; a standardised 0 scores nothing."""
    layers = (nn.Conv2d(3, 1, 1), nn.ReLU(), nn.Flatten(), nn.Linear(SIDE**2, len(bias)))
    net = Chain(named(*layers), (3, SIDE, SIDE)).requires_grad_(False).eval()
    net.get_parameter("conv1.weight").fill_(1 / 3)
    net.get_parameter("conv1.bias").zero_()
    weights = torch.zeros(len(bias), SIDE, SIDE)
    for weight, cells in zip(weights, scores, strict=True):
        for (row, col), score in cells.items():
            weight[row * CELL : (row + 1) * CELL, col * CELL : (col + 1) * CELL] = score / CELL**2
    net.get_parameter("fc1.weight").copy_(weights.flatten(1))
    net.get_parameter("fc1.bias").copy_(torch.tensor(bias))
    return net


def alike() -> Chain:
    """Logits 14, 17 and 15.5 of white: classes 1 and 2 share one region, and another is class 1's own."""
    shared = dict.fromkeys(SHARED, 3.0)
    return cell_net({}, shared | dict.fromkeys(OWN, 0.4), shared, bias=(14, 0, 0.5))


def moves(chain: Chain, others: list[int]) -> list[dict[str, Move]]:
    one = subject(chain, PREPROCESSING, WHITE)
    fill = torch.zeros_like(one.image)
    return picture_moves(Occluder(chain), one, fill, others, CELLS, torch.Generator().manual_seed(0))


def softmax(logits: list[float], target: int) -> float:
    return math.exp(logits[target]) / sum(map(math.exp, logits))


def expected(before: list[float], after: list[float], target: int, other: int) -> tuple[float, float, float]:
    fall = (before[target] - before[other]) - (after[target] - after[other])
    return fall, softmax(before, target) - softmax(after, target), float(after[target] < after[other])


def values(move: Move) -> tuple[float, float, float]:
    return move.log_odds, move.probability, move.overtaken


def test_what_two_classes_share_does_not_choose_between_them() -> None:
    """The contrast map covers class 1's own cells: 2 nats. The plain map covers what both classes live on: 0."""
    (found,) = moves(alike(), [2])
    white = [14, 17, 15.5]
    assert values(found[CONTRAST]) == pytest.approx(expected(white, [14, 15, 15.5], 1, 2), abs=1e-4)
    assert values(found[PLAIN]) == pytest.approx(expected(white, [14, 2, 0.5], 1, 2), abs=1e-4)
    assert (found[CONTRAST].log_odds, found[CONTRAST].overtaken) == pytest.approx((2, 1), abs=1e-4)
    assert (found[PLAIN].log_odds, found[PLAIN].overtaken) == pytest.approx((0, 0), abs=1e-4)
    assert found[PLAIN].probability > found[CONTRAST].probability, "of what it shows, the plain map takes more"
    assert values(found[MIDDLE]) == pytest.approx((0, 0, 0), abs=1e-4)
    assert 0 <= found[CHANCE].log_odds < 1


def test_chance_is_the_mean_of_four_draws() -> None:
    chain = like_zfnet(size=(3, SIDE, SIDE))
    covered: list[Tensor] = []
    chain.layer("conv1").register_forward_pre_hook(lambda _, inputs: covered.extend(inputs[0]))
    (found,) = moves(chain, [2])
    drawn = torch.stack(covered[-4:])
    one = subject(chain, PREPROCESSING, WHITE)
    before = one.logits.tolist()
    draws = [expected(before, after, one.target, 2) for after in plain(chain)(drawn).tolist()]
    assert len({fall for fall, _, _ in draws}) == 4
    assert values(found[CHANCE]) == pytest.approx([sum(column) / 4 for column in zip(*draws, strict=True)], abs=1e-4)


def test_each_other_class_has_a_contrast_map_of_its_own() -> None:
    found = moves(alike(), [2, 0])
    assert found[0][CONTRAST].log_odds == pytest.approx(2, abs=1e-4)
    white, without_shared = [14, 17, 15.5], [14, 2, 0.5]
    for name in (CONTRAST, PLAIN):
        assert values(found[1][name]) == pytest.approx(expected(white, without_shared, 1, 0), abs=1e-4)


def test_of_two_classes_both_maps_are_the_same() -> None:
    """One probability says all: where every square is a cell, both rank the cells alike."""
    chain = cell_net(
        {}, {(row, 3 * col): 0.1 + row / 20 + col / 99 for row in range(4) for col in range(3)}, bias=(1, 0)
    )
    (found,) = moves(chain, [0])
    assert found[CONTRAST] == found[PLAIN]
    assert found[PLAIN].log_odds > 1
    same = result([found, found], seed=0).advantages[0]
    assert (same.baseline, same.log_odds.mean, same.more, same.fewer) == (PLAIN, 0, 0, 0)


def painted(image: Tensor, fill: Tensor, row: int, col: int, side: int) -> None:
    image[:, row : row + side, col : col + side] = fill[:, row : row + side, col : col + side]


def test_overlapping_squares_by_hand() -> None:
    """Both maps from one painted picture a square, averaged over the squares at each pixel, and over each cell."""
    chain, window = like_zfnet(size=(3, SIDE, SIDE)), 8
    pixels = torch.randint(256, (3, SIDE, SIDE), generator=torch.Generator().manual_seed(3), dtype=torch.uint8)
    one = subject(chain, PREPROCESSING, pixels)
    fill, target = torch.zeros_like(one.image), one.target
    other = int(one.logits.topk(2).indices[1])
    clean = plain(chain)(one.image[None])[0].log_softmax(0)
    sums, counts = torch.zeros(2, SIDE, SIDE), torch.zeros(SIDE, SIDE)
    for top in range(0, SIDE - window + 1, CELL):
        for left in range(0, SIDE - window + 1, CELL):
            image = one.image.clone()
            painted(image, fill, top, left, window)
            under = plain(chain)(image[None])[0].log_softmax(0)
            drops = clean[target].exp() - under[target].exp(), (clean - under)[target] - (clean - under)[other]
            sums[:, top : top + window, left : left + window] += torch.stack(drops)[:, None, None]
            counts[top : top + window, left : left + window] += 1
    generator = torch.Generator().manual_seed(0)
    protocol = Protocol(window=window, stride=CELL)
    (found,) = picture_moves(Occluder(chain), one, fill, [other], protocol, generator)
    chosen = []
    for name, drop in zip((PLAIN, CONTRAST), sums / counts, strict=True):
        means = drop.view(10, CELL, 10, CELL).mean((1, 3)).flatten()
        chosen.append(sorted(range(100), key=lambda cell: -float(means[cell]))[:5])
        image = one.image.clone()
        for cell in chosen[-1]:
            painted(image, fill, CELL * (cell // 10), CELL * (cell % 10), CELL)
        after = plain(chain)(image[None])[0].tolist()
        assert values(found[name]) == pytest.approx(expected(one.logits.tolist(), after, target, other), abs=1e-4)
    assert set(chosen[0]) != set(chosen[1])


def test_the_second_class() -> None:
    assert second(torch.tensor([1.0, 3.0, 2.0])) == 2
    assert second(torch.tensor([1.0, 3.0, 1.0])) == 0
    assert second(torch.tensor([2.0, 2.0])) == 1


def test_wrong_pictures_count_against_their_true_class() -> None:
    pictures, told = torch.stack([WHITE] * 5), list[int]()
    labels = torch.tensor([1, 0, 2, 1, 0])
    found = contrasts(alike(), PREPROCESSING, pictures, labels, ["gray", "black"], 0, told.append)
    assert sum(told) == 5
    assert (found.images, found.classes, found.wrong) == (5, (0, 1, 2), 3)
    assert list(found.results) == ["gray", "black"]
    for by_other in found.results.values():
        assert {other: one.images for other, one in by_other.items()} == {SECOND: 5, TRUE: 3}
    again = contrasts(alike(), PREPROCESSING, pictures, labels, ["gray", "black"], 0, told.append)
    assert again == found
    one_wrong = contrasts(alike(), PREPROCESSING, pictures[:2], labels[:2], ["gray"], 0, told.append)
    assert (one_wrong.wrong, list(one_wrong.results["gray"])) == (1, [SECOND]), "no interval of one picture"


def gains(*nats: float) -> list[dict[str, Move]]:
    rest = Move(1, 0.25, 0.5)
    return [{CONTRAST: Move(n, 0.5, 1), PLAIN: rest, MIDDLE: rest, CHANCE: rest} for n in nats]


def test_sums_and_differences_by_hand() -> None:
    found = result(gains(0, 1, 3, 4), seed=0)
    assert found.images == 4
    assert values_of_means(found.moves[CONTRAST]) == (2, 0.5, 1)
    assert values_of_means(found.moves[CHANCE]) == (1, 0.25, 0.5)
    assert [one.baseline for one in found.advantages] == [PLAIN, MIDDLE, CHANCE]
    for one in found.advantages:
        assert (one.log_odds.mean, one.more, one.fewer) == (1, 0.5, 0.25)
        assert -1 <= one.log_odds.low < 1 < one.log_odds.high <= 3


def overtaken(share: float) -> list[dict[str, Move]]:
    return [dict.fromkeys((CONTRAST, PLAIN, MIDDLE, CHANCE), Move(1, 0.5, share))] * 20


def test_an_other_class_that_never_or_always_wins_has_an_interval() -> None:
    for share in (0, 1):
        for move in result(overtaken(share), seed=0).moves.values():
            assert move.overtaken == share_estimate(20 * share, 20)
            assert move.overtaken.low < move.overtaken.high
    drawn = [*overtaken(0.25), *overtaken(0)]
    assert result(drawn, seed=0).moves[CHANCE].overtaken == mean_estimate([0.25, 0] * 20, seed=0), "means of draws"


def values_of_means(move: object) -> tuple[float, ...]:
    return tuple(estimate.mean for estimate in vars(move).values())


def test_tables() -> None:
    pictures, labels = torch.stack([WHITE] * 3), torch.tensor([0, 2, 2])
    found = contrasts(alike(), PREPROCESSING, pictures, labels, ["gray"], 0, list[int]().append)
    moved, differences = contrast_tables(found)
    assert (moved.name, differences.name) == ("contrast", "contrast-differences")
    for table in (moved, differences):
        assert len({row[: table.keys] for row in table.rows}) == len(table.rows), table.name
    assert [row[:3] for row in moved.rows] == [
        ("gray", against, name)
        for against in ("the second class, 3 pictures", "the true class, 3 wrong pictures")
        for name in (CONTRAST, PLAIN, MIDDLE, CHANCE)
    ]
    assert moved.note.startswith("3 pictures of 2 classes, of which the net gets 3 wrong; 5 % of the cells are")
    again = [result(gains(1.5, 2.5), seed=0), result(gains(1, 1), seed=0)]
    by_hand = contrast_tables(replace(found, results={"blur": dict(zip((SECOND, TRUE), again, strict=True))}))
    move, difference = (table.rows[0] for table in by_hand)
    assert move[:2] == difference[:2] == ("blur", "the second class, 2 pictures")
    assert move[3:] == ("2.00 (1.50 to 2.50)", "0.500 (0.500 to 0.500)", "100.0 % (34.2 to 100.0)"), (
        "Wilson's, of 2 of 2"
    )
    assert difference[3:] == ("1.00 (0.50 to 1.50)", "100 %", "0 %")
    assert by_hand[1].rows[3][1:] == (
        *("the true class, 2 wrong pictures", "contrast map − plain map"),
        *("0.00 (0.00 to 0.00)", "0 %", "0 %"),
    )
    assert [row[2] for row in differences.rows] == [f"contrast map − {name}" for name in (PLAIN, MIDDLE, CHANCE)] * 2
