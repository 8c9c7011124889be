"""What a chain is, and what it gives."""

from typing import Any

import pytest
import torch
from torch import nn

from zfnet_explainer.net.chain import Chain, as_chain
from zfnet_explainer.net.norm import CrossMapNorm

from ..chains import SMALL, picture, plain, seeded

CONV, RELU = nn.Conv2d(3, 4, 3), nn.ReLU()
SIZE = (3, 12, 12)


def test_zfnet_has_the_sizes_of_the_paper(random_zfnet: Chain) -> None:
    outputs = random_zfnet.run(picture(random_zfnet)[None]).outputs
    names = ["conv1", "pool1", "conv2", "pool2", "conv3", "conv4", "conv5", "pool5"]
    sizes = [110, 55, 26, 13, 13, 13, 13, 6]
    maps = [96, 96, 256, 256, 384, 384, 256, 256]
    assert [outputs[name].shape[1:] for name in names] == [(m, s, s) for m, s in zip(maps, sizes, strict=True)]
    assert [outputs[name].shape[1] for name in ("flatten", "fc6", "fc7", "fc8")] == [9216, 4096, 4096, 10]


def test_zfnet_layers(random_zfnet: Chain) -> None:
    assert random_zfnet.features == ["relu1", "relu2", "relu3", "relu4", "relu5"]
    assert random_zfnet.map_counts == (96, 256, 384, 384, 256)
    assert random_zfnet.classes == 10
    assert random_zfnet.spatial[:5] == ["conv1", "relu1", "pool1", "norm1", "conv2"]
    assert random_zfnet.spatial[-1] == "pool5"
    assert random_zfnet.dense == ["fc6", "relu6", "drop6", "fc7", "relu7", "drop7", "fc8"]
    assert list(random_zfnet.below("conv2")) == ["conv2", "norm1", "pool1", "relu1", "conv1"]


@pytest.mark.parametrize("kind", SMALL)
def test_run_equals_forward_and_torch(kind: str) -> None:
    chain = SMALL[kind](0)
    x = torch.stack([picture(chain, seed) for seed in (1, 2)])
    before = x.clone()
    activations = chain.run(x)
    assert list(activations.outputs) == [name for name, _ in chain.named_children()]
    assert torch.equal(activations.outputs[chain.dense[-1]], chain(x))
    torch.testing.assert_close(chain(x), plain(chain)(x), rtol=1e-5, atol=1e-5)
    assert torch.equal(x, before)


@pytest.mark.parametrize("kind", SMALL)
def test_a_part_of_the_pass_gives_what_the_whole_one_gives(kind: str) -> None:
    chain = SMALL[kind](0)
    x = picture(chain)[None]
    whole = chain.run(x).outputs
    assert all(torch.equal(output, whole[name]) for name, output in chain.outputs(x))
    above = next(layer for layer in chain if isinstance(layer, nn.Flatten))
    above.register_forward_hook(lambda *_: pytest.fail("a layer above was evaluated"))
    part = [name for name, _ in chain.outputs(x, upto=chain.features[-1])]
    assert part == chain.spatial[: chain.spatial.index(chain.features[-1]) + 1]


@pytest.mark.parametrize("kind", SMALL)
def test_switches_point_at_the_pooled_values(kind: str) -> None:
    chain = SMALL[kind](0)
    activations = chain.run(picture(chain)[None])
    pools = [name for name in chain.spatial if isinstance(chain.layer(name), nn.MaxPool2d)]
    assert list(activations.switches) == pools
    for name in pools:
        before = activations.outputs[chain.spatial[chain.spatial.index(name) - 1]]
        taken = before.flatten(2).gather(2, activations.switches[name].flatten(2))
        assert torch.equal(taken, activations.outputs[name].flatten(2))


@pytest.mark.parametrize("kind", SMALL)
def test_axes_have_the_sizes_of_the_maps(kind: str) -> None:
    chain = SMALL[kind](0)
    size = chain.input_size[1:]
    for name, output in chain.run(picture(chain)[None]).outputs.items():
        if name in chain.axes:
            vertical, horizontal = chain.axes[name]
            assert (vertical.size_in, horizontal.size_in) == size
            size = (vertical.size_out, horizontal.size_out)
            assert size == output.shape[2:]


def test_alexnet(random_alexnet: nn.Sequential) -> None:
    chain = as_chain(random_alexnet, (3, 224, 224))
    x = torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    assert torch.equal(chain(x), random_alexnet(x))
    assert chain.features == ["0_1", "0_4", "0_7", "0_9", "0_11"]
    assert chain.map_counts == (64, 192, 384, 256, 256)
    assert chain.classes == 1000
    shared = dict(random_alexnet.named_parameters())
    assert all(value is shared[key.replace("_", ".")] for key, value in chain.named_parameters())


def test_vgg16() -> None:
    import torchvision  # seconds, which few tests need

    with torch.device("meta"):
        vgg = torchvision.models.vgg16()
    chain = as_chain(nn.Sequential(vgg.features, vgg.avgpool, nn.Flatten(), vgg.classifier), (3, 224, 224))
    assert chain.map_counts == (64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512)
    assert chain.axes[chain.spatial[-1]][0].size_out == 7
    assert chain.receptive_field(chain.features[-1], 7, 7).bottom == 7 * 16 + 16 + (196 - 16) // 2


def test_as_chain_takes_torchs_normalisation_and_gives_eval_mode() -> None:
    layers = [nn.Conv2d(2, 6, 3), nn.ReLU(inplace=True), nn.LocalResponseNorm(4, 0.5, 0.75, 1.5)]
    net = seeded(nn.Sequential(nn.Sequential(*layers), nn.Flatten(), nn.Dropout(), nn.Linear(6 * 9 * 7, 3)), 0).train()
    x = torch.randn(1, 2, 11, 9, generator=torch.Generator().manual_seed(0))
    chain = as_chain(net, (2, 11, 9))
    assert not chain.training
    assert all(module.training for module in net.modules()), "the net stays as it is"
    torch.testing.assert_close(chain(x), net.eval()(x), rtol=1e-5, atol=1e-6)
    assert isinstance(chain.layer("0_2"), CrossMapNorm)
    assert not chain.get_submodule("0_1").inplace


def test_a_placed_chain_computes_in_float32_proper(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    monkeypatch.setattr(torch.backends.cuda.matmul, "allow_tf32", True)
    placed = SMALL["like_zfnet"](0).placed(torch.device("cpu"))
    assert not torch.backends.cudnn.allow_tf32
    assert not torch.backends.cuda.matmul.allow_tf32
    assert placed.get_parameter("conv2.weight").is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("cells", [1, (5, 2), (None, 5)])
def test_an_adaptive_pool_of_equal_windows_is_an_average_pool(cells: int | tuple[int | None, ...]) -> None:
    """And what does nothing in eval mode is left out."""
    pooled = nn.Sequential(CONV, RELU, nn.Identity(), nn.AdaptiveAvgPool2d(cells), nn.Dropout2d(), nn.Flatten())
    x = picture(SMALL["like_zfnet"](0))[None, :, :12, :12]
    net = seeded(nn.Sequential(pooled, nn.Dropout(inplace=True), nn.Linear(pooled(x).numel(), 2)), 0)
    chain = as_chain(net, SIZE)
    torch.testing.assert_close(chain(x), net(x))
    kinds = [type(layer).__name__ for layer in chain]
    assert kinds == ["Conv2d", "ReLU", "AvgPool2d", "Flatten", "Dropout", "Linear"]


def test_one_value_in_a_tuple_is_both_sizes() -> None:
    """As torch's layers take it, whatever their annotations say."""
    sizes: list[Any] = [(1,), (2,), (3,)]
    one, two, three = sizes
    layers = nn.Conv2d(3, 4, 3, two, one), nn.ReLU(), nn.MaxPool2d(three, one, one), nn.AvgPool2d(three, two)
    pooled = nn.Sequential(*layers, nn.Flatten())
    x = torch.stack([picture(SMALL["like_zfnet"](0)), picture(SMALL["like_zfnet"](0), 2)])
    net = seeded(nn.Sequential(pooled, nn.Linear(pooled(x).numel() // 2, 3)), 0)
    chain = as_chain(net, (3, 37, 41))
    torch.testing.assert_close(chain.run(x).outputs["1"], net(x))
    assert [axis.size_out for axis in chain.axes["0_3"]] == [9, 10]
    global_pool = as_chain(
        nn.Sequential(CONV, RELU, nn.AdaptiveAvgPool2d((1,)), nn.Flatten(), nn.Linear(4, 2)), (3, 12, 12)
    )
    assert global_pool.axes["2"][0].kernel == 10


def test_a_placed_chain_is_another_and_shares_what_stays() -> None:
    chain = SMALL["thin"](0)
    placed = chain.placed(torch.device("cpu"))
    elsewhere = chain.placed(torch.device("cpu")).to("meta")
    assert chain.get_parameter("conv2.weight").is_contiguous(), "it stays as it is"
    assert {value.device.type for value in elsewhere.parameters()} == {"meta"}
    ours, theirs = (one.get_parameter("fc1.weight.up") for one in (placed, chain))
    assert ours.data_ptr() == theirs.data_ptr()
    x = picture(chain)[None]
    expected = chain(x)
    torch.testing.assert_close(placed(x), expected)
    placed.to(torch.bfloat16)
    torch.testing.assert_close(chain(x), expected)


@pytest.mark.parametrize("built_inside", [False, True])
def test_a_chain_placed_in_inference_mode_has_gradients(built_inside: bool) -> None:
    """As a cross-check takes them."""
    with torch.inference_mode(built_inside):
        chain = SMALL["like_zfnet"](0)
    with torch.inference_mode():
        placed = chain.placed(torch.device("cpu"))
    x = picture(chain)[None].clone().requires_grad_()
    placed(x).sum().backward()
    assert x.grad is not None
    assert x.grad.any()


@pytest.mark.parametrize("kind", ["mps", "meta", "xpu"])
def test_a_device_that_nothing_is_built_for_is_refused(kind: str) -> None:
    with pytest.raises(ValueError, match=f"evaluated on cpu or cuda, not on '{kind}': cpu works everywhere"):
        SMALL["thin"](0).placed(torch.device(kind))


@pytest.mark.parametrize("size", [(3, 37, 42), (3, 36, 41), (1, 37, 41)])
def test_activations_are_of_pictures_of_the_chains_size(size: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match=r"pictures are \[batch, 3, 37, 41\], not \[2, \d, \d\d, \d\d\]"):
        SMALL["like_zfnet"](0).run(torch.zeros(2, *size))


def test_a_chain_in_training_mode_is_not_explained_and_its_placed_copy_is() -> None:
    """Dropout would give every pass another answer."""
    chain = SMALL["like_zfnet"](0)
    x = picture(chain)[None]
    expected = chain(x)
    chain.train()
    with pytest.raises(ValueError, match=r"in training mode, in which dropout .*: \.eval\(\) it"):
        chain.run(x)
    placed = chain.placed(torch.device("cpu"))
    torch.testing.assert_close(placed.run(x).outputs[chain.dense[-1]], expected)
    assert chain.training, "it stays as it is"


def test_activations_are_in_the_chains_precision_whatever_autocast_a_caller_is_in() -> None:
    chain = SMALL["like_zfnet"](0)
    x = picture(chain)[None]
    expected = chain.run(x).outputs
    with torch.autocast("cpu", torch.bfloat16):
        assert chain(x).dtype == torch.bfloat16, "or it would be no test"
        found = chain.run(x).outputs
    assert all(torch.equal(found[name], output) for name, output in expected.items())
