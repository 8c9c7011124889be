"""The numbers of the three notes, each against a slow version or worked by hand."""

import copy
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.chains import plain
from tests.occlusions import by_hand
from tests.samples import noise
from zfnet_explainer.explainer import Explainer
from zfnet_explainer.explanation import Pixels
from zfnet_explainer.methods.squares import squares
from zfnet_explainer.net.checkpoint import Checkpoint
from zfnet_explainer.net.geometry import Box
from zfnet_explainer.net.record import Preprocessing
from zfnet_explainer.options import Options
from zfnet_explainer.pictures.atlas import NINE, Atlas, AtlasLayer, Layout, Sheet, Strongest
from zfnet_explainer.studies.gallery.exaggeration import Exaggeration, Shares, exaggeration, sensitive_region
from zfnet_explainer.studies.gallery.grouping import Grouping, chance, grouping, purity
from zfnet_explainer.studies.gallery.invariance import CHANGES, Moved, changed, invariance
from zfnet_explainer.studies.gallery.notes import Notes, note_tables, take_notes
from zfnet_explainer.studies.statistics import Estimate

from . import tiny


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    return tiny.checkpoint(tiny.write_weights(tmp_path_factory.mktemp("weights")))


@pytest.fixture(scope="module")
def explainer(checkpoint: Checkpoint) -> Explainer:
    return Explainer(checkpoint, tiny.CPU)


def pictures(count: int) -> list[Pixels]:
    return [noise(tiny.SIDE, tiny.SIDE, seed=i).copy() for i in range(count)]


# Grouping


def layer_of(*maps: str) -> AtlasLayer:
    """A layer whose maps' strongest pictures have these classes, a letter a picture."""
    nines = {
        i: tuple(Strongest(1.0, f"{j}.png", label, Box(0, 0, 1, 1)) for j, label in enumerate(labels))
        for i, labels in enumerate(maps)
    }
    return AtlasLayer(1, nines, Sheet(b"", Layout(1, 1, len(maps))), None)


def test_purity_is_the_share_of_the_most_frequent_class() -> None:
    assert purity("aabbbcdef") == 3 / 9
    assert purity("aaaaaaaaa") == 1


def test_grouping_is_the_mean_over_maps_with_nine_pictures() -> None:
    layers = {1: layer_of("aaaaaaaaa", "aabbbcdef", "aaa", ""), 2: layer_of("aaaaaaaaa", "bb"), 3: layer_of("abc")}
    [found] = grouping(Atlas(layers, {}, {}), seed=0)
    assert (found.layer, found.maps) == (1, 2)
    assert found.purity.mean == pytest.approx((1 + 3 / 9) / 2)
    assert found.purity.low <= found.purity.mean <= found.purity.high


@pytest.mark.parametrize(("a", "b"), [(5, 5), (9, 40), (200, 200), (8, 3)])
def test_chance_is_what_counting_all_draws_gives(a: int, b: int) -> None:
    ways = {k: math.comb(a, k) * math.comb(b, NINE - k) for k in range(NINE + 1)}
    exact = sum(max(k, NINE - k) * n for k, n in ways.items()) / sum(ways.values()) / NINE
    assert chance({"x": a, "y": b}, seed=0) == pytest.approx(exact, abs=0.004)


# Invariance


def ramp() -> Tensor:
    """Values that say their row (first channel) and column (second), measured from the picture's middle."""
    middle = torch.arange(8) - 3.5
    return torch.stack([middle[:, None].expand(8, 8), middle.expand(8, 8)])[None]


@pytest.mark.parametrize(("change", "amount"), [("shift", 0), ("scale", 1.0), ("rotation", 0)])
def test_no_change_leaves_the_picture(change: str, amount: float) -> None:
    torch.testing.assert_close(changed(ramp(), change, amount), ramp())


def test_a_shift_moves_the_picture_down() -> None:
    torch.testing.assert_close(changed(ramp(), "shift", 3)[..., 3:, :], ramp()[..., :-3, :])


def test_a_scale_enlarges_about_the_middle() -> None:
    torch.testing.assert_close(changed(ramp(), "scale", 2.0), ramp() / 2)


@pytest.mark.parametrize("degrees", [90, -90])
def test_a_rotation_turns_about_the_middle(degrees: int) -> None:
    turned = torch.rot90(ramp(), degrees // 90, (2, 3))
    torch.testing.assert_close(changed(ramp(), "rotation", degrees), turned)


def features(net: nn.Sequential, names: list[str], name: str, x: Tensor) -> Tensor:
    found: Tensor = net[: names.index(name) + 1](x[None])
    return found.flatten()


@pytest.mark.parametrize("groups", [[3], [17], [16, 2]], ids=str)
def test_distances_are_those_of_pictures_taken_one_by_one(checkpoint: Checkpoint, groups: list[int]) -> None:
    """Of the first feature layer and the last rectified one; the tiny net has three feature layers and one hidden."""
    net, names = plain(checkpoint.chain), [name for name, _ in checkpoint.chain.named_children()]
    images = pictures(sum(groups))
    xs = [checkpoint.record.preprocessing.standardise(torch.from_numpy(p).permute(2, 0, 1)) for p in images]
    found = {(one.layer, one.change, one.amount): one.distance for one in invariance(checkpoint, images)}
    assert {layer for layer, _, _ in found} == {1, 2, 3, 4}
    assert len(found) == 4 * sum(len(amounts) for amounts in CHANGES.values())
    for layer, name in ((1, "relu1"), (4, "relu4")):
        clean = [features(net, names, name, x) for x in xs]
        between, start = 0.0, 0
        for size in groups:
            group = clean[start : start + size]
            between += sum(float((group[i] - group[i - 1]).norm()) for i in range(size))
            start += size
        for change, amount in (("shift", 8), ("scale", 1.2), ("rotation", 20)):
            moved = [features(net, names, name, changed(x[None], change, amount)[0]) for x in xs]
            total = sum(float((a - b).norm()) for a, b in zip(moved, clean, strict=True))
            assert found[layer, change, amount] == pytest.approx(total / between, rel=1e-3)


# Exaggeration


def test_the_most_sensitive_region_is_under_the_worst_tenth_of_the_squares() -> None:
    grid = squares(40, 40, 8, 4)
    probability = np.random.default_rng(0).random((9, 9)).astype(np.float32)
    found = by_hand(grid, probability, np.where(probability > 0.25, 0, 1), 0.5, 0)
    expected = np.zeros((40, 40), bool)
    for value in np.sort(probability.flatten())[:8]:
        row, col = np.argwhere(probability == value)[0]
        for y in range(4 * row, 4 * row + 8):
            for x in range(4 * col, 4 * col + 8):
                expected[y, x] = True
    assert (sensitive_region(found, 40, 40) == expected).all()


def slow_shares(explainer: Explainer, images: Sequence[Pixels], other: int) -> tuple[float, float]:
    """Mean share of the energy, and of the field, in the region of the picture that is `other` later."""
    energies, areas = [], []
    options = Options(1, frozenset({"deconv", "occlusion"}), None, (3,), 1, None, 0, 32, 16, "gray", "float32", False)
    answers = [explainer.explain(pixels, options) for pixels in images]
    for i, answer in enumerate(answers):
        theirs = answers[(i + other) % len(answers)].occlusion
        assert answer.deconv is not None
        assert theirs is not None
        feature = answer.deconv[0].features[0]
        region = sensitive_region(theirs, tiny.SIDE, tiny.SIDE)
        inside = total = seen = both = 0.0
        for y in range(tiny.SIDE):
            for x in range(tiny.SIDE):
                energy = float((feature.projection[:, y, x].double() ** 2).sum())
                box = feature.receptive_field
                sees = box.top <= y < box.bottom and box.left <= x < box.right
                total, inside = total + energy, inside + energy * region[y, x]
                seen, both = seen + sees, both + (sees and region[y, x])
        energies.append(inside / total)
        areas.append(both / seen)
    return float(np.mean(energies)), float(np.mean(areas))


def test_shares_are_those_of_counting_pixels(explainer: Explainer) -> None:
    images = pictures(4)
    found = exaggeration(explainer, images, seed=0)
    assert found is not None
    assert found.pictures == 4
    for shares, other in ((found.own, 0), (found.anothers, 1)):
        energy, area = slow_shares(explainer, images, other)
        assert (shares.energy.mean, shares.area.mean) == pytest.approx((energy, area), rel=1e-4)
        assert shares.ratio == pytest.approx(energy / area, rel=1e-4)


@pytest.fixture(scope="module")
def silent_in_black(checkpoint: Checkpoint) -> Explainer:
    """A net without biases, to which black is zero."""
    chain = copy.deepcopy(checkpoint.chain)
    for name, parameter in chain.named_parameters():
        if name.endswith("bias"):
            parameter.zero_()
    record = replace(checkpoint.record, preprocessing=Preprocessing(tiny.SIDE, (0.0,) * 3, (0.25,) * 3))
    return Explainer(replace(checkpoint, chain=chain, record=record), tiny.CPU)


def test_a_picture_that_leaves_the_last_layer_silent_is_left_out(silent_in_black: Explainer) -> None:
    images = pictures(3)
    found = exaggeration(silent_in_black, [images[0], np.zeros_like(images[0]), *images[1:]], seed=0)
    assert found is not None
    assert found == exaggeration(silent_in_black, images, seed=0)
    assert found.pictures == 3


def test_of_fewer_than_two_pictures_that_excite_the_last_layer_there_is_no_mean(silent_in_black: Explainer) -> None:
    images = pictures(1)
    assert exaggeration(silent_in_black, [images[0], *[np.zeros_like(images[0])] * 2], seed=0) is None


def test_where_no_projection_reaches_the_regions_there_is_no_ratio() -> None:
    some, none = Estimate(0.2, 0.1, 0.3), Estimate(0.0, 0.0, 0.0)
    assert Shares(some, Estimate(0.1, 0.0, 0.2)).ratio == pytest.approx(2)
    shares = Shares(none, none)
    notes = Notes(2, [], None, [], Exaggeration(2, shares, shares))
    assert note_tables(notes)[-1].rows[0][-1] == "–"


# All three


def test_tables_of_the_notes(checkpoint: Checkpoint, explainer: Explainer, tmp_path: Path) -> None:
    data = tiny.write_pictures(tmp_path / "data", 12)
    weights = tiny.write_weights(tmp_path)
    atlas = tiny.built(weights, data, tmp_path / "atlas")
    notes = take_notes(atlas, checkpoint, explainer, pictures(4), seed=0)
    tables = {table.name: table for table in note_tables(notes)}
    assert list(tables) == ["grouping", "invariance", "exaggeration"]
    assert [row[0] for row in tables["grouping"].rows] == ["1", "2", "3"]
    assert tables["invariance"].columns == ("change", "layer 1", "layer 2", "layer 3", "layer 4")
    assert [row[0] for row in tables["invariance"].rows][:5] == [
        "4 pixels down", "8 pixels down", "16 pixels down", "32 pixels down", "1.05 times as large"
    ]  # fmt: skip
    assert len(tables["exaggeration"].rows) == 2


def test_every_number_of_the_notes_is_in_its_place() -> None:
    def estimate(mean: float) -> Estimate:
        return Estimate(mean, mean - 0.01, mean + 0.02)

    amounts = [(change, amount) for change, amounts in CHANGES.items() for amount in amounts]
    moved = [Moved(layer, *one, distance=layer + i / 100) for layer in (2, 4) for i, one in enumerate(amounts)]
    own, anothers = Shares(estimate(0.4), estimate(0.25)), Shares(estimate(0.3), estimate(0.24))
    groups = [Grouping(1, 32, estimate(0.2)), Grouping(3, 7, estimate(0.5))]
    tables = note_tables(Notes(128, groups, 0.225, moved, Exaggeration(99, own, anothers)))
    grouped, invariant, exaggerated = tables
    assert grouped.columns == ("layer", "maps", "class purity of the nine (95 % interval)", "nine drawn blindly")
    assert grouped.rows == (
        ("1", "32", "20.0 % (19.0 to 22.0)", "22.5 %"), ("3", "7", "50.0 % (49.0 to 52.0)", "22.5 %"),
    )  # fmt: skip
    assert invariant.columns == ("change", "layer 2", "layer 4")
    assert [row[1:] for row in invariant.rows] == [(f"2.{i:02}", f"4.{i:02}") for i in range(12)]
    assert [invariant.rows[i][0] for i in (3, 7, 11)] == [
        "32 pixels down", "1.4 times as large", "40 degrees turned"
    ]  # fmt: skip
    assert "Mean over 128 pictures" in invariant.note
    assert exaggerated.columns[1:] == (
        "share of the projection's energy", "share if it were spread evenly", "ratio"
    )  # fmt: skip
    assert exaggerated.rows == (
        ("the picture's own", "40.0 % (39.0 to 42.0)", "25.0 % (24.0 to 27.0)", "1.60"),
        ("another picture's", "30.0 % (29.0 to 32.0)", "24.0 % (23.0 to 26.0)", "1.25"),
    )
    assert "in each of 99 pictures" in exaggerated.note


@pytest.mark.parametrize("classes", [{"": 9}, {"a": 4, "b": 4}], ids=["no classes", "fewer than nine pictures"])
def test_where_no_nine_of_several_classes_can_be_drawn_there_is_no_grouping(
    checkpoint: Checkpoint, explainer: Explainer, classes: dict[str, int]
) -> None:
    atlas = Atlas({1: layer_of("aaaaaaaaa", "aaaaaaaaa")}, {"classes": classes}, {})
    notes = take_notes(atlas, checkpoint, explainer, pictures(2), seed=0)
    assert [table.name for table in note_tables(notes)] == ["invariance", "exaggeration"]
