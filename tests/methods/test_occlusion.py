"""Occlusion maps: the plain evaluation against a naive loop, the incremental one against the plain one."""

import math
import random
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from zfnet_explainer.methods.incremental import occluder, plan
from zfnet_explainer.methods.incremental.occluder import Occluder
from zfnet_explainer.methods.occlusion import OcclusionMaps, occlude_full
from zfnet_explainer.methods.squares import Squares, squares
from zfnet_explainer.net.chain import Chain, as_chain
from zfnet_explainer.net.norm import CrossMapNorm

from ..chains import SMALL, chain_of, picture, plain


@pytest.fixture(autouse=True)
def _always_incremental(monkeypatch: pytest.MonkeyPatch) -> None:
    """However much of these small pictures a square changes."""
    monkeypatch.setattr(occluder, "SHARE", math.inf)


KINDS = pytest.mark.parametrize("kind", SMALL)


def naive(chain: Chain, image: Tensor, fill: Tensor, grid: Squares, layer: str, feature: int) -> OcclusionMaps:
    """One square after the other, painted with numpy, through torch's own layers."""
    net, depth = plain(chain), [name for name, _ in chain.named_children()].index(layer) + 1
    logits = np.zeros((len(grid.tops), len(grid.lefts), chain.classes), np.float32)
    activity = np.zeros(logits.shape[:2], np.float32)
    for row, top in enumerate(grid.tops):
        for col, left in enumerate(grid.lefts):
            painted = image.numpy().copy()
            for channel in range(len(painted)):
                for y in range(top, top + grid.window):
                    for x in range(left, left + grid.window):
                        painted[channel, y, x] = fill[channel, y, x]
            maps = net[:depth](torch.from_numpy(painted)[None])
            activity[row, col] = maps[0, feature].sum()
            logits[row, col] = net[depth:](maps)[0].numpy()
    return OcclusionMaps(torch.from_numpy(logits), torch.from_numpy(activity))


def assert_equal(ours: OcclusionMaps, expected: OcclusionMaps, bound: float) -> None:
    """Equal within `bound` of the largest value, and the square positions tell different stories."""
    for name in ("logits", "feature_activity"):
        found, wanted = getattr(ours, name), getattr(expected, name)
        assert found.shape == wanted.shape
        assert float((found - wanted).abs().max()) <= bound * float(wanted.abs().max()), name


def differs(maps: OcclusionMaps) -> bool:
    """Whether the squares' positions matter to the logits."""
    return bool((maps.logits - maps.logits[0, 0]).abs().max() > 1e-2)


def both(
    chain: Chain, image: Tensor, fill: Tensor, grid: Squares, layer: str, feature: int, memory: int | None = None
) -> tuple[OcclusionMaps, OcclusionMaps]:
    """(occluder, full)."""
    clean = chain.run(image[None])
    return (
        Occluder(chain, memory)(image, clean, fill, grid, layer, feature),
        occlude_full(chain, image, fill, grid, layer, feature),
    )


def test_one_value_in_a_tuple_is_both_sizes() -> None:
    """As torch's layers take it, whatever their annotations say."""
    sizes: list[Any] = [(1,), (2,)]
    one, two = sizes
    chain = chain_of((3, 23, 26), nn.Conv2d(3, 4, 3, two, one), nn.ReLU(), nn.MaxPool2d(two, one))
    image, fill = picture(chain, 1), picture(chain, 2)
    grid = squares(*chain.input_size[1:], window=5, stride=4)
    found, full = both(chain, image, fill, grid, "relu1", 1)
    assert_equal(full, naive(chain, image, fill, grid, "relu1", 1), 1e-5)
    assert_equal(found, full, 1e-5)


@pytest.mark.parametrize(
    ("layer", "feature", "message"),
    [
        ("relu9", 0, "'relu9' is no rectified convolution of this net: relu1, relu2, relu3 are"),
        ("fc1", 0, "'fc1' is no rectified convolution of this net: relu1, relu2, relu3 are"),
        ("relu2", 99, "layer relu2 has maps 0 to 7, not 99"),
        ("relu2", -1, "layer relu2 has maps 0 to 7, not -1"),
    ],
)
def test_a_map_that_is_not_there_has_no_activity(layer: str, feature: int, message: str) -> None:
    chain = SMALL["like_zfnet"](0)
    image, fill = picture(chain, 1), picture(chain, 2)
    grid = squares(*chain.input_size[1:], window=9, stride=8)
    clean = chain.run(image[None])
    with pytest.raises(ValueError, match=message):
        occlude_full(chain, image, fill, grid, layer, feature)
    with pytest.raises(ValueError, match=message):
        Occluder(chain)(image, clean, fill, grid, layer, feature)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"image": torch.zeros(3, 37, 40)}, r"the image is \[3, 37, 41\] for this chain, not \[3, 37, 40\]"),
        ({"image": torch.zeros(1, 3, 37, 41)}, r"the image is \[3, 37, 41\] for this chain, not \[1, 3, 37, 41\]"),
        ({"fill": torch.zeros(3, 41, 37)}, r"the fill is \[3, 37, 41\] for this chain, not \[3, 41, 37\]"),
        ({"squares": squares(38, 41, 9, 8)}, r"to \(38, 41\) are not within .* of \(37, 41\) pixels"),
        ({"squares": squares(37, 42, 9, 8)}, r"to \(37, 42\) are not within .* of \(37, 41\) pixels"),
        ({"squares": Squares(9, 8, (0,), (-1,))}, r"from \(0, -1\) to \(9, 8\) are not within .* of \(37, 41\) pixels"),
    ],
)
def test_pictures_and_squares_for_another_size_are_refused(given: dict[str, Any], message: str) -> None:
    chain = SMALL["like_zfnet"](0)
    image, fill = picture(chain, 1), picture(chain, 2)
    grid = squares(37, 41, 9, 8)
    asked: dict[str, Any] = {"image": image, "fill": fill, "squares": grid, "layer": "relu1", "feature": 0} | given
    with pytest.raises(ValueError, match=message):
        occlude_full(chain, **asked)
    with pytest.raises(ValueError, match=message):
        Occluder(chain)(clean=chain.run(image[None]), **asked)


def test_activations_of_several_pictures_are_refused() -> None:
    """Which of them would be meant?"""
    chain = SMALL["like_zfnet"](0)
    image, fill, grid = picture(chain, 1), picture(chain, 2), squares(37, 41, 9, 8)
    with pytest.raises(ValueError, match="activations of one picture are occluded, these are of 2"):
        Occluder(chain)(image, chain.run(torch.stack([image, fill])), fill, grid, "relu1", 0)


def test_a_chain_in_training_mode_is_refused() -> None:
    chain = SMALL["like_zfnet"](0)
    image, fill, grid = picture(chain, 1), picture(chain, 2), squares(37, 41, 9, 8)
    clean, occluder = chain.run(image[None]), Occluder(chain)
    chain.train()
    with pytest.raises(ValueError, match="in training mode"):
        occlude_full(chain, image, fill, grid, "relu1", 0)
    with pytest.raises(ValueError, match="in training mode"):
        occluder(image, clean, fill, grid, "relu1", 0)


def test_a_device_that_nothing_is_built_for_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^nets are evaluated on cpu or cuda, not on 'meta'"):
        Occluder(SMALL["thin"](0).to("meta"))


def test_a_callers_autocast_rounds_nothing() -> None:
    chain = SMALL["like_zfnet"](0)
    image, fill, grid = picture(chain, 1), picture(chain, 2), squares(37, 41, 9, 8)
    expected = both(chain, image, fill, grid, "relu3", 0)
    with torch.autocast("cpu", torch.bfloat16):
        found = both(chain, image, fill, grid, "relu3", 0)
    for ours, wanted in zip(found, expected, strict=True):
        assert_equal(ours, wanted, 0)


@KINDS
def test_full_equals_a_naive_loop(kind: str) -> None:
    chain = SMALL[kind](0)
    image, fill = picture(chain, 1), picture(chain, 2)
    grid = squares(*chain.input_size[1:], window=9, stride=8)
    for layer in chain.features:
        expected = naive(chain, image, fill, grid, layer, 2)
        assert differs(expected)
        assert_equal(occlude_full(chain, image, fill, grid, layer, 2, batch=5), expected, 1e-5)


@pytest.mark.parametrize("seed", range(3), ids="seed {}".format)
@KINDS
def test_incremental_equals_full(kind: str, seed: int) -> None:
    chain = SMALL[kind](seed)
    image, fill = picture(chain, seed + 10), picture(chain, seed + 20)
    every_pixel = [(1, 1)] if seed == 0 else []
    for window, stride in (*every_pixel, (5, 4), (12, 7), (13, 13)):
        grid = squares(*chain.input_size[1:], window, stride)
        for layer in chain.features:
            found, full = both(chain, image, fill, grid, layer, seed)
            assert_equal(found, full, 1e-5)


@KINDS
def test_incremental_is_exact_in_float64(kind: str) -> None:
    """What is left in float32 is rounding."""
    chain = SMALL[kind](0).double()
    image, fill = (picture(chain, seed, torch.float64) for seed in (1, 2))
    for window, stride in ((3, 3), (7, 4), (11, 11)):
        grid = squares(*chain.input_size[1:], window, stride)
        found, full = both(chain, image, fill, grid, chain.features[-1], 1)
        assert differs(full)
        assert_equal(found, full, 1e-12)


def drawn(seed: int) -> Chain:
    """Some convolutions with drawn kernels, strides, pads and groups, some with a drawn pool after them."""
    draw = random.Random(seed)  # noqa: S311
    layers: list[nn.Module] = []
    maps = draw.choice([1, 3])
    size = (maps, draw.randint(19, 30), draw.randint(19, 30))
    x = torch.zeros(1, *size)
    while not layers or (len(layers) < 9 and min(x.shape[2:]) > 9):
        kernel, groups = (draw.randint(1, 4), draw.randint(1, 4)), draw.choice([1, maps])
        after = groups * draw.randint(1, 3)
        stride = draw.randint(1, 2), draw.randint(1, 3)
        padding = draw.randint(0, kernel[0] - 1), draw.randint(0, kernel[1] - 1)
        layers += [nn.Conv2d(maps, after, kernel, stride, padding, groups=groups), nn.ReLU()]
        maps = after
        window = draw.randint(1, 3)
        pool = (window, draw.randint(1, 3), draw.randint(0, window // 2))
        layers += draw.choice(
            [
                [],
                [nn.MaxPool2d(*pool, ceil_mode=draw.random() < 0.5)],
                [nn.AvgPool2d(*pool)],
                [CrossMapNorm(maps, draw.randint(1, 5), 0.5, k=1.0)],
            ]
        )
        x = nn.Sequential(*layers)(torch.zeros(1, *size))
    return chain_of(size, *layers, seed=seed)


@pytest.mark.parametrize("group", [1, 10_000], ids=["alike ones apart", "all together"])
@pytest.mark.parametrize("seed", range(24), ids="drawn {}".format)
def test_incremental_is_exact_for_any_chain(seed: int, group: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "GROUP_SIZE", group)
    chain = drawn(seed).double()
    image, fill = (picture(chain, s, torch.float64) for s in (seed + 1, seed + 2))
    draw = random.Random(seed)  # noqa: S311
    for _ in range(3):
        window = draw.randint(1, 18)
        grid = squares(*chain.input_size[1:], window, draw.randint((window + 1) // 2, window))
        layer = draw.choice(chain.features)
        found, full = both(chain, image, fill, grid, layer, 0, memory=50_000)
        assert_equal(found, full, 1e-12)


@KINDS
@pytest.mark.parametrize("shift", [0, 1])
def test_squares_as_large_as_the_picture(kind: str, shift: int) -> None:
    chain = SMALL[kind](0).double()
    image, fill = (picture(chain, seed, torch.float64) for seed in (1, 2))
    grid = squares(*chain.input_size[1:], min(chain.input_size[1:]) - shift, 1)
    found, full = both(chain, image, fill, grid, chain.features[0], 1)
    assert_equal(found, full, 1e-12)


@KINDS
def test_little_memory_changes_nothing(kind: str) -> None:
    chain = SMALL[kind](0)
    image, fill = picture(chain, 1), picture(chain, 2)
    grid = squares(*chain.input_size[1:], window=6, stride=6)
    clean = chain.run(image[None])
    args = (image, clean, fill, grid, chain.features[-1], 0)
    assert len(grid) > 3
    for memory in (1, 30_000):
        assert_equal(Occluder(chain, memory)(*args), Occluder(chain)(*args), 1e-6)


@pytest.mark.parametrize("window", [1, 2, 5])
@KINDS
def test_a_net_with_channels_last_gives_the_same(kind: str, window: int) -> None:
    """Not placed: its weights stay as they lie, and torch has other convolutions for them."""
    chain = SMALL[kind](0)
    image, fill, grid = picture(chain, 1), picture(chain, 2), squares(*chain.input_size[1:], window, window)
    full = occlude_full(chain, image, fill, grid, chain.features[-1], 0)
    chain.to(memory_format=torch.channels_last)
    found = Occluder(chain)(image, chain.run(image[None]), fill, grid, chain.features[-1], 0)
    assert_equal(found, full, 1e-5)


@KINDS
def test_a_chain_as_it_is_served_gives_the_same(kind: str) -> None:
    """Placed, its weights lie in memory otherwise, for which torch has other convolutions."""
    built = SMALL[kind](0)
    image, fill = picture(built, 1), picture(built, 2)
    for window in (1, 2, 5):
        grid = squares(*built.input_size[1:], window, min(window, 2))
        ours, _ = both(built.placed(torch.device("cpu")), image, fill, grid, built.features[-1], 0)
        assert_equal(ours, both(built, image, fill, grid, built.features[-1], 0)[1], 2e-6)


@KINDS
def test_one_occluder_for_many_pictures(kind: str) -> None:
    """It keeps memory from one to the next, and gives none of it away."""
    chain = SMALL[kind](0)
    fill = picture(chain, 9)
    cases = [(picture(chain, seed), squares(*chain.input_size[1:], window, 5)) for seed, window in ((1, 9), (2, 5))]
    one = Occluder(chain)

    def maps(occluder: Occluder, image: Tensor, grid: Squares) -> OcclusionMaps:
        return occluder(image, chain.run(image[None]), fill, grid, chain.features[-1], 0)

    found = [maps(one, *case) for case in (*cases, *cases)]
    for ours, case in zip(found, (*cases, *cases), strict=True):
        expected = maps(Occluder(chain), *case)
        assert_equal(ours, expected, 1e-6)


@KINDS
def test_a_fill_that_is_the_picture_changes_nothing(kind: str) -> None:
    chain = SMALL[kind](0)
    image = picture(chain)
    clean = chain.run(image[None])
    grid = squares(*chain.input_size[1:], window=8, stride=5)
    maps = Occluder(chain)(image, clean, image, grid, chain.features[-1], 0)
    logits, activity = clean.outputs[chain.dense[-1]][0], clean.outputs[chain.features[-1]][0, 0].sum()
    torch.testing.assert_close(maps.logits, logits.expand_as(maps.logits), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(maps.feature_activity, activity.expand_as(maps.feature_activity), rtol=1e-5, atol=1e-5)


def test_what_reaches_no_output_changes_nothing() -> None:
    """Every third column is skipped by a kernel two wide at stride 3."""
    chain = SMALL["with_gaps"](0)
    image, fill = picture(chain, 1), picture(chain, 2)
    grid = Squares(1, 1, (0, 1, 2, 3), (0, 1, 2, 3))
    clean = chain.run(image[None])
    maps = Occluder(chain)(image, clean, fill, grid, "relu1", 0)
    changed = (maps.logits - clean.outputs["fc2"][0]).abs().amax(2) > 1e-5
    assert changed.tolist() == [[col != 2 for col in range(4)] for _ in range(4)]


@KINDS
def test_inputs_stay(kind: str) -> None:
    chain = SMALL[kind](0)
    image, fill = picture(chain, 1), picture(chain, 2)
    clean = chain.run(image[None])
    inputs = {"image": image, "fill": fill, **clean.outputs} | {f"{k} switches": v for k, v in clean.switches.items()}
    before = {name: x.clone() for name, x in inputs.items()}
    grid = squares(*chain.input_size[1:], window=6, stride=5)
    Occluder(chain)(image, clean, fill, grid, chain.features[-1], 0)
    occlude_full(chain, image, fill, grid, chain.features[-1], 0)
    for name, x in inputs.items():
        assert torch.equal(x, before[name]), name


@pytest.mark.parametrize(
    ("window", "stride", "tops", "lefts"),
    [
        (17, 10, (0, 110, 207), (0, 207)),
        (50, 12, (0, 174), (84, 174)),
        (1, 1, (111,), (0, 223)),
        (224, 224, (0,), (0,)),
    ],
    ids="{}".format,
)
def test_zfnet(random_zfnet: Chain, window: int, stride: int, tops: tuple[int, ...], lefts: tuple[int, ...]) -> None:
    grid = Squares(window, stride, tops, lefts)
    image, fill = picture(random_zfnet, 1), picture(random_zfnet, 2)
    found, full = both(random_zfnet, image, fill, grid, "relu5", 7)
    assert_equal(found, full, 1e-5)


def test_alexnet(random_alexnet: nn.Sequential) -> None:
    chain = as_chain(random_alexnet, (3, 224, 224))
    image, fill = picture(chain, 1), picture(chain, 2)
    found, full = both(chain, image, fill, Squares(31, 1, (0, 193), (77, 193)), chain.features[-1], 7)
    assert differs(full)
    assert_equal(found, full, 1e-5)
