"""Calibration against numbers worked by hand."""

import math
from itertools import pairwise

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from zfnet_explainer.accuracy.calibration import BINS, best_temperature, calibration, calibration_error, reliability


def with_confidence(*confidences: float) -> Tensor:
    """Logits of two classes that give class 0 these probabilities."""
    return torch.tensor([[math.log(p / (1 - p)), 0.0] for p in confidences], dtype=torch.float64)


def test_error_by_hand() -> None:
    # 0.9 lies in bin 13 (13/15 = 0.867), 0.88 too: 1 of 2 right, mean confidence 0.89.
    # 0.7 lies in bin 10: right. 0.6: the most probable class is 1 (confidence 0.6, bin 8): right.
    logits = with_confidence(0.9, 0.88, 0.7, 0.4)
    labels = torch.tensor([0, 1, 0, 1])
    bins = reliability(logits, labels)
    filled = {i: one for i, one in enumerate(bins) if one.images}
    assert {i: one.images for i, one in filled.items()} == {8: 1, 10: 1, 13: 2}
    assert filled[13].confidence == pytest.approx(0.89)
    assert (filled[13].right, filled[10].right, filled[8].right) == (0.5, 1, 1)
    assert calibration_error(bins) == pytest.approx((2 * 0.39 + 0.3 + 0.4) / 4)


def test_bins_are_of_equal_width_and_hold_their_upper_end() -> None:
    bins = reliability(torch.tensor([[200.0, 0.0]] * 3), torch.tensor([0, 0, 1]))
    assert len(bins) == BINS == 15
    assert (bins[0].lower, bins[-1].upper) == (0, 1)
    assert all(one.upper - one.lower == pytest.approx(1 / 15) for one in bins)
    assert all(one.upper == after.lower for one, after in pairwise(bins))
    assert bins[-1].images == 3, "a confidence of exactly 1"
    assert (bins[0].confidence, bins[0].right) == (None, None)
    assert calibration_error(bins) == pytest.approx(1 / 3)


@pytest.mark.parametrize(("right", "wrong", "logit"), [(3, 1, 2.0), (9, 1, 1.0), (2, 1, 6.0)])
def test_temperature_by_hand(right: int, wrong: int, logit: float) -> None:
    """With one confidence for n pictures, the best one is the share that is right, each counted (n + 1) / (n + 2)."""
    logits = torch.tensor([[logit, 0.0]] * (right + wrong))
    labels = torch.tensor([0] * right + [1] * wrong)
    count = right + wrong
    best = (right * (count + 1) / (count + 2) + wrong / (count + 2)) / count
    assert best_temperature(logits, labels) == pytest.approx(logit / math.log(best / (1 - best)), rel=1e-3)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_temperature_of_drawn_labels(temperature: float) -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(10000, 5, generator=generator) * 2
    labels = (logits / temperature).softmax(1).multinomial(1, generator=generator)[:, 0]
    assert best_temperature(logits, labels) == pytest.approx(temperature, rel=0.05)
    found = calibration(logits, labels, temperature, 0)
    assert found.temperature == best_temperature(logits, labels)
    assert found.held_out_after < 0.02
    assert (found.served_temperature, found.served_ece < 0.02) == (temperature, True)
    if temperature != 1:
        assert found.ece == pytest.approx(found.held_out_before, abs=0.02)
        assert found.ece > 0.1


def test_what_is_served_over_a_temperature_is_as_confident_as_its_probabilities() -> None:
    """Odds of 9 to 1 become 3 to 1, of which three quarters are right."""
    found = calibration(with_confidence(*[0.9] * 4), torch.tensor([0, 0, 0, 1]), 2, 0)
    assert found.ece == pytest.approx(0.15)
    assert found.served_ece == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("count", [2, 20, 500])
def test_a_net_that_is_always_right_is_not_made_certain(count: int) -> None:
    """Of n right answers the next one is right with (n + 1) / (n + 2): Laplace's rule of succession."""
    temperature = best_temperature(torch.tensor([[1.0, 0.0]] * count), torch.zeros(count, dtype=torch.int64))
    assert 1 / (1 + math.exp(-1 / temperature)) == pytest.approx((count + 1) / (count + 2), rel=1e-3)


def test_a_net_of_one_class_has_no_temperature_to_find() -> None:
    assert best_temperature(torch.randn(8, 1), torch.zeros(8, dtype=torch.int64)) == 1


@pytest.mark.parametrize(("temperature", "helps"), [(0.5, True), (1.0, False), (2.5, True)])
def test_sixty_pictures_say_whether_a_temperature_helps(temperature: float, helps: bool) -> None:
    """In most of twenty draws; of their expected calibration errors that cannot be said."""
    found = []
    for seed in range(20):
        generator = torch.Generator().manual_seed(seed)
        logits = torch.randn(60, 10, generator=generator) * 3
        labels = (logits / temperature).softmax(1).multinomial(1, generator=generator)[:, 0]
        found.append(calibration(logits, labels, 1, 0).helps)
    assert found.count(helps) >= 15


def test_each_half_is_judged_by_the_temperature_of_the_other() -> None:
    """Of forty draws, some are helped by one temperature and not by the other: both count."""
    apart = 0
    for seed in range(40):
        generator = torch.Generator().manual_seed(seed)
        logits = torch.randn(40, 4, generator=generator).double() * 2
        labels = (logits / 1.3).softmax(1).multinomial(1, generator=generator)[:, 0]
        order = torch.randperm(40, generator=torch.Generator().manual_seed(0))
        losses = []
        for half, other in ((order[:20], order[20:]), (order[20:], order[:20])):
            over = logits[half] / best_temperature(logits[other], labels[other])
            losses.append(float(cross_entropy(over, labels[half]) - cross_entropy(logits[half], labels[half])))
        assert calibration(logits, labels, 1, 0).helps == (sum(losses) < 0)
        apart += losses[0] * losses[1] < 0
    assert apart > 5


def test_the_held_out_half_has_no_say_in_its_temperature() -> None:
    generator = torch.Generator().manual_seed(1)
    logits, labels = torch.randn(9, 3, generator=generator), torch.randint(3, (9,), generator=generator)
    answers = logits.argmax(1)
    before = calibration(logits, labels, 1, 4)
    fitted = 0
    for i in range(len(labels)):
        changed = labels.clone()
        changed[i] = (labels[i] + 1) % 3 if labels[i] == answers[i] else answers[i]
        after = calibration(logits, changed, 1, 4)
        moved = after.held_out_temperature != before.held_out_temperature
        fitted += moved
        assert moved or (after.held_out_before, after.held_out_after) != (before.held_out_before, before.held_out_after)
    assert fitted == 4
    assert before.held_out_images == 5
    assert calibration(logits, labels, 1, 5).held_out_temperature != before.held_out_temperature


def test_one_picture_has_none_to_fit_a_temperature_to() -> None:
    found = calibration(with_confidence(0.8), torch.tensor([0]), 1, 0)
    assert (found.held_out_images, found.held_out_temperature) == (1, 1)
    assert found.held_out_before == found.held_out_after == found.ece == pytest.approx(0.2)
