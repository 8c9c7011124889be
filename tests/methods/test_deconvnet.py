"""Projections against a slow second implementation, against Captum and by hand."""

import warnings
import weakref
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from captum.attr import NeuronDeconvolution
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from zfnet_explainer.methods import captum, deconvnet
from zfnet_explainer.methods.deconvnet import down, project, project_each, strongest
from zfnet_explainer.net.chain import Chain
from zfnet_explainer.net.layers import UnsupportedLayer
from zfnet_explainer.net.norm import CrossMapNorm

from ..chains import SMALL, chain_of, picture
from .slow_deconvnet import climb, descend, slow_projection


def depths(chain: Chain) -> list[tuple[int, str]]:
    """(how many layers, feature layer) up to each feature layer."""
    return [(chain.spatial.index(name) + 1, name) for name in chain.features]


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("kind", SMALL)
def test_equals_the_slow_deconvnet(kind: str, seed: int) -> None:
    chain = SMALL[kind](seed).double()
    x = picture(chain, seed + 10, torch.float64)
    activations = chain.run(x[None])
    for depth, name in depths(chain):
        maps = activations.outputs[name][0]
        features = strongest(maps, 2)
        assert float(maps[features].amax()) > 0
        for found in project(chain, activations, name, features):
            expected = slow_projection([chain.layer(n) for n in chain.spatial[:depth]], x.numpy(), found.feature)
            largest = abs(expected).max()
            assert abs(found.projection.numpy() - expected).max() <= 1e-12 * largest


@pytest.mark.parametrize("kind", SMALL)
def test_every_cell_goes_down_as_the_slow_one(kind: str) -> None:
    """All of a map, its corners and borders too, together and out of order."""
    chain = SMALL[kind](3).double()
    x = picture(chain, 4, torch.float64)
    activations = chain.run(x[None])
    name = chain.features[-1]
    steps = climb([chain.layer(n) for n in chain.spatial[: chain.spatial.index(name) + 1]], x.numpy())
    maps = activations.outputs[name]
    cells = [(1, row, col) for col in range(maps.shape[3]) for row in reversed(range(maps.shape[2]))]
    values = torch.arange(1.0, len(cells) + 1, dtype=torch.float64)
    found = down(chain, activations.switches, name, cells, values)
    for (feature, row, col), value, ours in zip(cells, values, found, strict=True):
        signal = torch.zeros_like(maps[0])
        signal[feature, row, col] = value
        expected = descend(steps, signal.numpy())
        assert abs(ours.numpy() - expected).max() <= 1e-12 * abs(expected).max()


def test_a_value_below_zero_is_rectified_on_the_first_step_down() -> None:
    chain = SMALL["like_zfnet"](3)
    activations = chain.run(picture(chain)[None])
    found = down(chain, activations.switches, "relu2", [(0, 1, 1), (0, 1, 1)], torch.tensor([-1.0, 1.0]))
    assert not found[0].any()
    assert found[1].any()


def four_pixels() -> tuple[Chain, Tensor]:
    """Doubled, pooled over pairs (6, 6, 4), weighed 1, 1, -1 -> 8."""
    chain = chain_of(
        (1, 1, 4),
        nn.Conv2d(1, 1, 1),
        nn.ReLU(),
        nn.MaxPool2d((1, 2), stride=1),
        nn.Conv2d(1, 1, (1, 3)),
        nn.ReLU(),
    )
    first, second = chain.layer("conv1"), chain.layer("conv2")
    first.get_parameter("weight").fill_(2)
    second.get_parameter("weight").copy_(torch.tensor([1.0, 1.0, -1.0]).view(1, 1, 1, 3))
    for layer in (first, second):
        layer.get_parameter("bias").zero_()
    return chain, torch.tensor([1.0, 3.0, 2.0, 0.0]).view(1, 1, 4)


def test_four_pixels_by_hand() -> None:
    """8 -> (8, 8, -8) -> the first two share a peak: (0, 16, -8, 0) -> (0, 16, 0, 0) -> (0, 32, 0, 0)."""
    chain, x = four_pixels()
    (found,) = project(chain, chain.run(x[None]), "relu2", [0])
    assert (found.activation, found.position) == (8.0, (0, 0))
    assert found.projection.flatten().tolist() == [0.0, 32.0, 0.0, 0.0]


def test_colliding_switches_add_where_max_unpool_overwrites() -> None:
    chain, x = four_pixels()
    activations = chain.run(x[None])
    signal = torch.tensor([8.0, 8.0, -8.0]).view(1, 1, 1, 3)
    overwritten = functional.max_unpool2d(
        signal, activations.switches["pool1"], (1, 2), stride=(1, 1), output_size=(1, 4)
    ).clamp_min(0)
    assert (overwritten * 2).flatten().tolist() == [0.0, 16.0, 0.0, 0.0]
    added = project(chain, activations, "relu2", [0])[0].projection
    assert added.flatten().tolist() == [0.0, 32.0, 0.0, 0.0]


def test_biases_take_no_part_on_the_way_down() -> None:
    chain, x = four_pixels()
    chain.layer("conv2").get_parameter("bias").fill_(8)
    (found,) = project(chain, chain.run(x[None]), "relu2", [0])
    assert found.activation == 16.0
    assert found.projection.flatten().tolist() == [0.0, 64.0, 0.0, 0.0]


def test_values_below_zero_reach_the_pixels_through_the_filter_only() -> None:
    """A projection is signed: nothing is rectified after the last filter."""
    chain = chain_of((1, 1, 2), nn.Conv2d(1, 1, (1, 2)), nn.ReLU())
    chain.layer("conv1").get_parameter("weight").copy_(torch.tensor([2.0, -1.0]).view(1, 1, 1, 2))
    chain.layer("conv1").get_parameter("bias").zero_()
    (found,) = project(chain, chain.run(torch.tensor([[[[3.0, 1.0]]]])), "relu1", [0])
    assert found.projection.flatten().tolist() == [10.0, -5.0]


def test_the_first_of_equal_values_is_the_position() -> None:
    chain = chain_of((1, 3, 4), nn.Conv2d(1, 2, 1), nn.ReLU())
    x = torch.zeros(1, 3, 4)
    x[0, 1, 3] = x[0, 2, 0] = x[0, 1, 2] = 5
    chain.layer("conv1").get_parameter("weight").copy_(torch.tensor([1.0, -1.0]).view(2, 1, 1, 1))
    chain.layer("conv1").get_parameter("bias").zero_()
    kept, silent = project(chain, chain.run(x[None]), "relu1", [0, 1])
    assert kept.position == (1, 2)
    assert (silent.activation, silent.position) == (0.0, (0, 0))
    assert not silent.projection.any()


def test_strongest_goes_by_the_single_value_and_ties_to_the_lower_index() -> None:
    maps = torch.zeros(6, 2, 2)
    maps[1, 0, 1] = maps[4, 1, 1] = maps[3, 0, 0] = 7
    maps[2] = 3
    maps[5, 1, 0] = 9
    assert strongest(maps, 5) == [5, 1, 3, 4, 2]
    assert strongest(maps[:1].expand(300, 2, 2), 300) == list(range(300))


@pytest.mark.parametrize("kind", SMALL)
def test_nothing_outside_the_receptive_field(kind: str) -> None:
    chain = SMALL[kind](0)
    activations = chain.run(picture(chain)[None])
    for name in chain.features:
        for found in project(chain, activations, name, strongest(activations.outputs[name][0], 3)):
            box = found.receptive_field
            assert box == chain.receptive_field(name, *found.position)
            outside = found.projection.clone()
            outside[:, box.top : box.bottom, box.left : box.right] = 0
            assert not outside.any()
            assert found.projection.any()


def test_asked_together_or_alone_in_any_order() -> None:
    chain = SMALL["like_zfnet"](0)
    activations = chain.run(picture(chain)[None])
    together = project(chain, activations, "relu2", [5, 0, 5])
    assert [f.feature for f in together] == [5, 0, 5]
    for found in together:
        (alone,) = project(chain, activations, "relu2", [found.feature])
        assert (alone.activation, alone.position) == (found.activation, found.position)
        torch.testing.assert_close(alone.projection, found.projection, rtol=1e-5, atol=1e-6)


def test_activations_stay() -> None:
    chain = SMALL["like_zfnet"](0)
    activations = chain.run(picture(chain)[None])
    before = {name: x.clone() for name, x in (activations.outputs | activations.switches).items()}
    project(chain, activations, chain.features[-1], [0, 1])
    for name, x in (activations.outputs | activations.switches).items():
        assert torch.equal(x, before[name]), name


@pytest.mark.parametrize("feature", [-1, 6, 100])
def test_a_map_that_is_not_there(feature: int) -> None:
    chain = SMALL["like_zfnet"](0)
    activations = chain.run(picture(chain)[None])
    with pytest.raises(ValueError, match=f"layer relu1 has maps 0 to 5, not {feature}"):
        project(chain, activations, "relu1", [0, feature])


@pytest.mark.parametrize("layer", ["relu4", "relu9", "pool1", "fc1"])
def test_a_layer_that_is_not_there(layer: str) -> None:
    chain = SMALL["like_zfnet"](0)
    activations = chain.run(picture(chain)[None])
    with pytest.raises(ValueError, match=f"'{layer}' is no rectified convolution of this net: relu1, relu2, relu3 are"):
        project(chain, activations, layer, [0])


@pytest.mark.parametrize("kind", [kind for kind in SMALL if kind != "like_zfnet"])
def test_equals_captum(kind: str) -> None:
    """Captum on the chain's own layers; it starts from 1 instead of the activation."""
    chain = SMALL[kind](0)
    assert not any(isinstance(layer, CrossMapNorm) for layer in chain)
    x = picture(chain)
    activations = chain.run(x[None])
    name = chain.features[-1]
    for found in project(chain, activations, name, strongest(activations.outputs[name][0], 2)):
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Setting (forward, )?backward hooks", UserWarning)
            theirs = NeuronDeconvolution(chain, chain.layer(name)).attribute(
                x[None].clone().requires_grad_(), (found.feature, *found.position)
            )
        expected = theirs[0].detach() * found.activation
        assert float((found.projection - expected).abs().max()) <= 1e-6 * float(expected.abs().max())


@pytest.mark.parametrize("layer", range(1, 6), ids="layer {}".format)
def test_zfnet_equals_captum(random_zfnet: Chain, layer: int) -> None:
    x = picture(random_zfnet)
    activations = random_zfnet.run(x[None])
    name = random_zfnet.features[layer - 1]
    found = project(random_zfnet, activations, name, strongest(activations.outputs[name][0], 2))
    assert all(f.activation > 0 for f in found)
    assert captum.check_deconv(random_zfnet, x, {name: found}) <= 1e-6


class Added(TorchFunctionMode):
    """Whether two values of one `scatter_add_` meet in a cell: a GPU would add them in any order."""

    met = seen = 0

    def __torch_function__(
        self, func: Callable[..., Any], types: Sequence[type], args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        if func is Tensor.scatter_add_:
            for cells in args[2].flatten(0, 1):
                self.met += len(cells) - len(cells.unique())
            self.seen += 1
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("kind", ["like_zfnet", "padded_pools"])
def test_nothing_is_added_in_an_order_that_a_gpu_could_change(kind: str) -> None:
    chain = SMALL[kind](0)
    activations = chain.run(picture(chain)[None])
    with Added() as added:
        for layer in chain.features:
            project(chain, activations, layer, [0, 1, 2])
    assert added.seen > 0
    assert added.met == 0


def test_activations_of_several_pictures_are_refused() -> None:
    """Their switches would send one picture's signal to another's pixels."""
    chain = SMALL["like_zfnet"](0)
    activations = chain.run(torch.stack([picture(chain, seed) for seed in (1, 2)]))
    with pytest.raises(ValueError, match="activations of one picture are projected, these are of 2"):
        project(chain, activations, "relu2", [0])


@pytest.mark.parametrize("kind", SMALL)
def test_projections_of_several_pictures_at_once_are_those_of_each_alone(kind: str) -> None:
    chain = SMALL[kind](0)
    x = torch.stack([picture(chain, seed) for seed in range(4)])
    wanted = [(2, 1), (0, 2), (2, 0), (3, 1), (3, 1)]
    for layer in chain.features:
        found = project_each(chain, chain.run(x), layer, wanted)
        for (number, feature), ours in zip(wanted, found, strict=True):
            [alone] = project(chain, chain.run(x[number][None]), layer, [feature])
            assert (ours.feature, ours.position, ours.receptive_field) == (
                feature, alone.position, alone.receptive_field
            )  # fmt: skip
            assert ours.activation == pytest.approx(alone.activation, rel=1e-5)
            torch.testing.assert_close(ours.projection, alone.projection, rtol=1e-4, atol=1e-5)


class Live(TorchFunctionMode):
    """The most bytes at a time in the memory of tensors that were made since."""

    def __init__(self) -> None:
        super().__init__()
        self.peak = 0
        self._sizes: dict[int, int] = {}
        self._holders: Counter[int] = Counter()

    def __torch_function__(
        self, func: Callable[..., Any], types: Sequence[type], args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        found = func(*args, **(kwargs or {}))
        if isinstance(found, Tensor):
            storage = found.untyped_storage()
            self._sizes[storage.data_ptr()] = storage.nbytes()
            self._holders[storage.data_ptr()] += 1
            weakref.finalize(found, self._released, storage.data_ptr())
            self.peak = max(self.peak, sum(self._sizes.values()))
        return found

    def _released(self, place: int) -> None:
        self._holders[place] -= 1
        if not self._holders[place]:
            del self._sizes[place]


@pytest.mark.parametrize("pictures", [1, 2])
def test_many_projections_take_no_more_memory_than_a_few(pictures: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in VGG, whose first maps are as wide as the picture: of 64 together these would take 12 MiB."""
    blocks = [
        [nn.Conv2d(maps, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
        for maps in (3, 16)
    ]
    chain = chain_of((3, 32, 32), *blocks[0], *blocks[1], nn.Conv2d(16, 16, 5, padding=2), nn.ReLU())
    activations = chain.run(torch.stack([picture(chain, seed) for seed in range(pictures)]))
    wanted = [(number % pictures, number % 16) for number in range(64)]
    together = list(project_each(chain, activations, "relu5", wanted))
    monkeypatch.setattr(deconvnet, "MEMORY", 2**20)
    with Live() as live:
        for expected, found in zip(together, project_each(chain, activations, "relu5", wanted), strict=True):
            assert (found.feature, found.position) == (expected.feature, expected.position)
            torch.testing.assert_close(found.projection, expected.projection, rtol=1e-4, atol=1e-5)
    assert 2**19 < live.peak < 1.5 * 2**20


def test_a_callers_autocast_rounds_nothing() -> None:
    chain = SMALL["like_zfnet"](0)
    activations = chain.run(picture(chain)[None])
    [expected] = project(chain, activations, "relu3", [2])
    with torch.autocast("cpu", torch.bfloat16):
        [found] = project(chain, activations, "relu3", [2])
    assert expected.projection.any()
    assert torch.equal(found.projection, expected.projection)


def test_a_projection_that_alone_takes_more_goes_down_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    chain = SMALL["like_zfnet"](0)
    activations = chain.run(picture(chain)[None])
    together = project(chain, activations, "relu3", [4, 1])
    monkeypatch.setattr(deconvnet, "MEMORY", 1)
    for expected, found in zip(together, project(chain, activations, "relu3", [4, 1]), strict=True):
        torch.testing.assert_close(found.projection, expected.projection, rtol=1e-4, atol=1e-5)


def test_a_layer_that_no_way_down_is_known_through_is_not_passed_over() -> None:
    chain = SMALL["like_zfnet"](0)
    activations = chain.run(picture(chain)[None])
    chain.norm1 = nn.Tanh()
    with pytest.raises(UnsupportedLayer, match="norm1: no way down through a Tanh is known"):
        project(chain, activations, "relu2", [0])


def test_each_projection_is_its_holders_own() -> None:
    """Whatever mode it was made in: alone in its memory, without gradients, and free to be changed."""
    chain = SMALL["like_zfnet"](0).requires_grad_()
    with torch.inference_mode():
        found = project(chain, chain.run(picture(chain)[None]), "relu2", [0, 1, 2])
    found += project(chain, chain.run(picture(chain)[None]), "relu2", [0, 1, 2])
    assert not any(one.projection.requires_grad for one in found)
    before = found[1].projection.clone()
    for one in found:
        assert one.projection.untyped_storage().nbytes() == one.projection.nbytes
    found[0].projection.div_(2).add_(1)
    assert torch.equal(found[1].projection, before)
