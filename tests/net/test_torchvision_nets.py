"""torchvision's nets: built as torchvision builds them, and files that hold something else."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from safetensors.torch import save_file
from torch import Tensor, nn

from zfnet_explainer.net.layers import UnsupportedLayer
from zfnet_explainer.net.own import in_single
from zfnet_explainer.net.record import BadCheckpoint
from zfnet_explainer.net.torchvision_nets import NAMES, classes_of, read_net, read_state, torchvision_net


def shapes(net: nn.Module) -> dict[str, torch.Size]:
    return {key: value.shape for key, value in net.state_dict().items()}


def on_meta(build: Callable[[], nn.Module]) -> nn.Module:
    with torch.device("meta"):
        return build()


@pytest.mark.parametrize("name", NAMES)
def test_layers_and_their_weights_are_torchvisions(name: str) -> None:
    ours = on_meta(lambda: torchvision_net(name, 7))
    theirs = on_meta(lambda: torchvision.models.get_model(name, num_classes=7))
    assert shapes(ours) == shapes(theirs)
    for part in ("features", "avgpool", "classifier"):
        expected = str(theirs.get_submodule(part)).replace("inplace=True", "")
        assert re.sub(r"output_size=(\d)\)", r"output_size=(\1, \1))", str(ours.get_submodule(part))) == expected


def alexnet_state() -> dict[str, Tensor]:
    """Of the right names and shapes, of one number each on disk."""
    net = on_meta(lambda: torchvision_net("alexnet", 7))
    return {key: torch.zeros(()).expand(value.shape) for key, value in net.state_dict().items()}


@pytest.fixture
def stored(tmp_path: Path) -> Callable[[Any], Path]:
    def store(content: Any) -> Path:
        torch.save(content, tmp_path / "net.pth")
        return tmp_path / "net.pth"

    return store


def test_classes_are_those_of_the_last_layer(stored: Callable[[Any], Path]) -> None:
    assert classes_of(read_net("alexnet", stored(alexnet_state()))) == 7


def test_what_differs_is_said_at_once(stored: Callable[[Any], Path]) -> None:
    state = alexnet_state()
    del state["features.0.bias"]
    state |= {"features.0.scale": torch.zeros(2), "features.3.weight": torch.zeros(5, 4)}
    with pytest.raises(BadCheckpoint) as error:
        read_net("alexnet", stored(state))
    assert str(error.value).endswith(
        "is no state dict of torchvision's alexnet: missing: features.0.bias; unexpected: features.0.scale; "
        "of another shape: features.3.weight (5 x 4, not 192 x 64 x 5 x 5)"
    )


def test_other_nets_are_refused(stored: Callable[[Any], Path]) -> None:
    resnet = on_meta(torchvision.models.resnet18)
    zeros = {key: torch.zeros(()).expand(value.shape) for key, value in resnet.state_dict().items()}
    message = r"vgg11: missing: features\.0\.weight, .* and 17 more; unexpected: conv1\.weight, .* and \d+ more"
    with pytest.raises(BadCheckpoint, match=message):
        read_net("vgg11", stored(zeros))
    assert isinstance(resnet, nn.Module)
    with pytest.raises(UnsupportedLayer, match="a ResNet may run its layers in any order"):
        in_single(resnet)  # type: ignore[arg-type]


def test_a_counter_of_batches_is_not_needed(tmp_path: Path) -> None:
    norm = nn.BatchNorm2d(4).state_dict()
    save_file({"features.1." + key: value for key, value in norm.items()}, tmp_path / "bn.safetensors")
    with pytest.raises(BadCheckpoint, match="missing") as error:
        read_net("vgg11_bn", tmp_path / "bn.safetensors")
    assert "num_batches_tracked" not in str(error.value)


class Stranger:
    """What no file of weights should bring to life."""


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param({"a": Stranger()}, r"more than tensors.*`net\.state_dict\(\)`", id="an object"),
        pytest.param(
            {"epoch": 3, "state_dict": {}}, "a dict of epoch, state_dict, not a state dict", id="a checkpoint"
        ),
        pytest.param({0: torch.zeros(1), 1: torch.zeros(1)}, "a dict of 0, 1, not a state dict", id="numbered"),
        pytest.param([torch.zeros(1)], "something else, not a state dict", id="a list"),
    ],
)
def test_what_is_no_state_dict_is_refused(stored: Callable[[Any], Path], content: Any, message: str) -> None:
    with pytest.raises(BadCheckpoint, match=message):
        read_state(stored(content))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("net.pth", None, "cannot read the weights .*No such file"),
        ("net.safetensors", None, "cannot read the weights"),
        ("net.pth", b"junk", "more than tensors|is no .pth file"),
        ("net.pt", b"", "is no .pt file"),
        ("net.safetensors", b"junk", "is no .safetensors file"),
        ("net.onnx", b"junk", r"read from \.safetensors, \.pth, \.pt"),
    ],
)
def test_what_is_no_file_of_weights_is_refused(tmp_path: Path, name: str, content: bytes | None, message: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(BadCheckpoint, match=message):
        read_state(tmp_path / name)
