"""`zfnet-explainer import` as a person runs it: what it refuses, and the accuracy that it measures."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console
from torch import nn
from typer.testing import CliRunner, Result

from zfnet_explainer.commands.import_net import _validated
from zfnet_explainer.commands.main import app
from zfnet_explainer.explainer import Explainer
from zfnet_explainer.net.checkpoint import Preprocessing, load
from zfnet_explainer.net.own import save_checkpoint
from zfnet_explainer.net.torchvision_nets import torchvision_net
from zfnet_explainer.pictures.decode import decode

from ..chains import seeded
from ..samples import encoded, noise


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "900")


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """An AlexNet of seven classes, a single number for each of its weights."""
    with torch.device("meta"):
        net = torchvision_net("alexnet", 7)
    content = {key: torch.zeros(()).expand(value.shape) for key, value in net.state_dict().items()}
    torch.save(content, tmp_path / "state.pth")
    return tmp_path / "state.pth"


def run(architecture: str, file: Path, labels: object, *options: str) -> Result:
    named = file.with_name("labels.json")
    named.write_text(json.dumps(labels))
    arguments = ["import", architecture, file, "--labels", named, "--out", file.with_name("out") / "net.safetensors"]
    return CliRunner().invoke(app, [*map(str, arguments), *options])


@pytest.mark.parametrize(
    ("architecture", "labels", "options", "message"),
    [
        ("alexnet", ["a"] * 5, (), "names 5 classes, but the net scores 7"),
        ("vgg16", ["a"] * 7, (), "is no state dict of torchvision's vgg16: missing: features.2.weight"),
        ("resnet50", ["a"] * 7, (), "'resnet50' is none of alexnet, vgg11"),
        ("resnet50", ["a"] * 7, (), "a net with branches, such as ResNet, is none"),
        ("alexnet", ["a"] * 7, ("--name", "my net"), "--name 'my net': it stands in URLs"),
    ],
)
def test_what_cannot_be_imported_is_refused(
    state: Path, architecture: str, labels: object, options: tuple[str, ...], message: str
) -> None:
    result = run(architecture, state, labels, *options)
    assert result.exit_code == 2
    assert message in result.output
    assert not state.with_name("out").exists()


def test_the_accuracy_is_what_its_predictions_are(tmp_path: Path) -> None:
    layers = nn.Conv2d(3, 4, 5, stride=3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 14 * 14, 2)
    preprocessing = Preprocessing(44, (0.5,) * 3, (0.3,) * 3, crop=0.7, interpolation="bilinear")
    path = tmp_path / "net.safetensors"
    saved = save_checkpoint(
        seeded(nn.Sequential(*layers), 3), path, classes=("cat", "dog"), preprocessing=preprocessing
    )
    explainer = Explainer(load(path), torch.device("cpu"))
    right = []
    for number in range(20):
        picture, label = encoded(noise(60, 90, seed=number)), number % 2
        file = tmp_path / "data" / "val" / ("cat", "dog")[label] / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(picture)
        right.append(explainer.probabilities([decode(picture, preprocessing).pixels])[0].argmax() == label)
    assert 0 < np.mean(right) < 1
    found = _validated(saved, path, tmp_path / "data", True, torch.device("cpu"), Console(stderr=True))
    assert found.record.validation is not None
    assert found.record.validation["images"] == 20
    assert found.record.validation["top1"] == pytest.approx(np.mean(right))
    assert load(path).record == replace(saved.record, validation=found.record.validation)
