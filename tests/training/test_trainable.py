"""The form that is trained, and its way back to the chain that is served."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from zfnet_explainer.net.chain import Chain
from zfnet_explainer.net.zfnet import zfnet
from zfnet_explainer.training.export import fold
from zfnet_explainer.training.recipe import Initialisation, Phase, Recipe
from zfnet_explainer.training.trainable import Stretch, clip_filters, training_form

from ..chains import SMALL, named, picture, seeded

RECIPE = Recipe((Phase(64, 1),), batch=4, learning_rate=0.1, dropout=0.3)
THIN = {"fc6": 8, "fc7": 5}


def shaken(net: nn.Sequential, x: Tensor) -> nn.Sequential:
    """Seeded weights, every BatchNorm at statistics, scales and shifts of its own, then a few steps."""
    seeded(net, 0).requires_grad_().train()
    generator = torch.Generator().manual_seed(0)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.normal_(0, 0.5, generator=generator)
            module.running_var.uniform_(0.3, 3, generator=generator)
            module.weight.data.normal_(0, 1, generator=generator)  # some below zero
            module.bias.data.normal_(0, 0.5, generator=generator)
    optimiser = torch.optim.SGD(net.parameters(), lr=0.01)
    for _ in range(3):
        optimiser.zero_grad()
        torch.autograd.backward(nn.functional.cross_entropy(net(x), torch.arange(len(x)) % 3))
        optimiser.step()
    return net.eval()


def pictures(chain: Chain, count: int) -> Tensor:
    return torch.stack([picture(chain, seed, torch.float64) for seed in range(count)])


@pytest.mark.parametrize("batch_norm", [True, False], ids=["bn", "plain"])
@pytest.mark.parametrize("kind", SMALL)
def test_folded_equals_the_trained_form(kind: str, batch_norm: bool) -> None:
    torch.manual_seed(0)
    x = pictures(SMALL[kind](0), 6)
    net = shaken(training_form(SMALL[kind](0), replace(RECIPE, batch_norm=batch_norm)).double(), x)
    chain = fold(net, SMALL[kind](9).double())
    expected = net(x).detach()
    assert float((expected - expected[0]).abs().max()) > 1e-2
    torch.testing.assert_close(chain(x), expected, rtol=0, atol=1e-10)
    assert not chain.training
    assert not any(p.requires_grad for p in chain.parameters())


def test_what_the_form_of_zfnet_holds() -> None:
    torch.manual_seed(0)
    net = training_form(zfnet(4, THIN), RECIPE)
    names = [name for name, _ in net.named_children()]
    assert names == [
        *("conv1", "bn_conv1", "pool1", "relu1", "norm1"),
        *("conv2", "bn_conv2", "pool2", "relu2", "norm2"),
        *("conv3", "bn_conv3", "relu3", "conv4", "bn_conv4", "relu4", "conv5", "bn_conv5", "pool5", "relu5"),
        *("stretch", "flatten", "fc6", "bn_fc6", "relu6", "drop6", "fc7", "bn_fc7", "relu7", "drop7", "fc8"),
    ]
    shapes = {name: tuple(p.shape) for name, p in net.named_parameters() if "fc" in name and "bn" not in name}
    assert shapes == {
        "fc6.weight.up": (4096, 8),
        "fc6.weight.down": (8, 9216),
        "fc7.weight.up": (4096, 5),
        "fc7.weight.down": (5, 4096),
        "fc8.weight": (4, 4096),
        "fc8.bias": (4,),
    }
    assert net.get_submodule("conv1").bias is None
    assert [net.get_submodule(name).p for name in ("drop6", "drop7")] == [0.3, 0.3]
    assert net(torch.zeros(2, 3, 64, 64)).shape == (2, 4), "smaller pictures are stretched"


def test_a_pool_goes_before_the_relu_that_it_follows_and_may_begin_the_chain() -> None:
    layers = nn.MaxPool2d(2), nn.Conv2d(3, 2, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(18, 3)
    net = training_form(Chain(named(*layers), (3, 16, 16)), RECIPE)
    kinds = [type(layer) for layer in net]
    assert kinds == [nn.MaxPool2d, nn.Conv2d, nn.BatchNorm2d, nn.MaxPool2d, nn.ReLU, Stretch, nn.Flatten, nn.Linear]


@pytest.mark.parametrize(("initialisation", "gain"), [(Initialisation.HE, 2), (Initialisation.LECUN, 1)])
def test_weights_between_the_first_and_the_last_layer_start_by_their_inputs(
    initialisation: Initialisation, gain: int
) -> None:
    torch.manual_seed(0)
    net = training_form(zfnet(4, THIN), replace(RECIPE, initialisation=initialisation))
    deviations = {n: float(net.get_parameter(f"{n}.weight").detach().std()) for n in ("conv1", "conv3", "fc8")}
    assert deviations["conv1"] == pytest.approx(0.01, rel=0.05)
    assert deviations["conv3"] == pytest.approx((gain / (256 * 9)) ** 0.5, rel=0.05)
    assert deviations["fc8"] == pytest.approx(0.01, rel=0.05)


def test_the_first_layer_can_start_smaller_than_the_others() -> None:
    torch.manual_seed(0)
    net = training_form(zfnet(20, THIN), replace(RECIPE, first_deviation=1e-3))
    assert float(net.get_parameter("conv1.weight").detach().std()) == pytest.approx(0.001, rel=0.05)
    assert float(net.get_parameter("fc8.weight").detach().std()) == pytest.approx(0.01, rel=0.05)


def test_the_papers_start_has_one_deviation_everywhere() -> None:
    torch.manual_seed(0)
    net = training_form(zfnet(4, THIN), replace(RECIPE, batch_norm=False, initialisation=Initialisation.PAPER))
    for name, parameter in net.named_parameters():
        if name.endswith("bias"):
            assert not parameter.any(), name
        else:
            assert float(parameter.detach().std()) == pytest.approx(0.01, rel=0.05), name


def test_filters_over_the_radius_are_scaled_down_to_it() -> None:
    net = training_form(SMALL["like_zfnet"](0), RECIPE)
    before = {name: value.clone() for name, value in net.named_parameters()}
    radius = float(before["conv1.weight"][2].square().mean().sqrt())  # some are over it, some below
    clip_filters(net, radius)
    clipped = 0
    for name, parameter in net.named_parameters():
        for now, was in zip(parameter, before[name], strict=True):
            size = math.sqrt(sum(v * v for v in was.flatten().tolist()) / was.numel())
            over = parameter.ndim == 4 and size > radius
            torch.testing.assert_close(now, was * (radius / size) if over else was, rtol=1e-5, atol=0)
            clipped += over
    assert 0 < clipped < sum(len(p) for p in net.parameters() if p.ndim == 4)


def test_the_chain_stays_as_it_was() -> None:
    chain = SMALL["like_zfnet"](0).double()
    before = {key: value.clone() for key, value in chain.state_dict().items()}
    shaken(training_form(chain, RECIPE).double(), pictures(chain, 6))
    assert all(torch.equal(chain.state_dict()[key], value) for key, value in before.items())


def test_stretch_repeats_cells() -> None:
    x = torch.tensor([[1.0, 2.0], [3.0, 4.0]]).view(1, 1, 2, 2)
    rows = [[1.0, 1.0, 2.0], [1.0, 1.0, 2.0], [3.0, 3.0, 4.0], [3.0, 3.0, 4.0]]
    assert Stretch((4, 3))(x)[0, 0].tolist() == rows
    assert Stretch((2, 2))(x) is x


@pytest.mark.parametrize(
    "norm", [nn.GroupNorm(1, 6), nn.BatchNorm2d(6, track_running_stats=False)], ids=["other", "bare"]
)
def test_what_cannot_be_folded(norm: nn.Module) -> None:
    net = training_form(SMALL["like_zfnet"](0), RECIPE)
    net.bn_conv1 = norm
    with pytest.raises(TypeError, match="cannot be folded"):
        fold(net, SMALL["like_zfnet"](0))
