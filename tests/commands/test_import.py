"""`zfnet-explainer import` as a person runs it: what it makes and refuses, and the accuracy that it measures."""

import io
import json
import re
import shlex
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image
from rich.console import Console
from safetensors import safe_open
from torch import nn
from torchvision.transforms import CenterCrop, Compose, Normalize, Resize, ToTensor
from typer.testing import CliRunner, Result

from zfnet_explainer.commands.import_net import _opened, _validated
from zfnet_explainer.commands.main import app
from zfnet_explainer.explainer import Explainer
from zfnet_explainer.net.checkpoint import load
from zfnet_explainer.net.own import save_checkpoint
from zfnet_explainer.net.record import Preprocessing
from zfnet_explainer.net.torchvision_nets import torchvision_net
from zfnet_explainer.pictures.decode import decode

from ..chains import seeded
from ..samples import SAMPLE, encoded, noise

PIPELINE = Compose([Resize(256), CenterCrop(224), ToTensor(), Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))])

OUT = "my [out]"


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
    arguments = ["import", architecture, file, "--labels", named, "--out", file.with_name(OUT) / "net.safetensors"]
    return CliRunner().invoke(app, [*map(str, arguments), *options])


@pytest.mark.parametrize(
    ("architecture", "labels", "options", "message"),
    [
        ("alexnet", ["a"] * 5, (), "names 5 classes, but the net scores 7"),
        ("vgg16", ["a"] * 7, (), "is no state dict of torchvision's vgg16: missing: features.2.weight"),
        ("resnet50", ["a"] * 7, (), "'resnet50' is none of alexnet, vgg11"),
        ("resnet50", ["a"] * 7, (), "a net with branches, such as ResNet, is none"),
        ("alexnet", ["a"] * 7, ("--name", "my net"), "'my net' cannot stand in URLs: letters, digits"),
        ("alexnet", ["a"] * 7, ("--licence", "CC\udcff"), "the licence is one line of text that is not blank"),
    ],
)
def test_what_cannot_be_imported_is_refused(
    state: Path, architecture: str, labels: object, options: tuple[str, ...], message: str
) -> None:
    result = run(architecture, state, labels, *options)
    assert result.exit_code == 2
    assert message in result.output
    assert not state.with_name(OUT).exists()


def test_pictures_of_other_classes_are_told_before_anything_is_written(state: Path) -> None:
    (state.parent / "data" / "val" / "zebra").mkdir(parents=True)
    for number in range(2):
        (state.parent / "data" / "val" / "zebra" / f"{number}.png").write_bytes(encoded(noise(9, 9, seed=number)))
    result = run("alexnet", state, [f"thing {number}" for number in range(7)], "--data", str(state.parent / "data"))
    assert result.exit_code == 2
    assert "val/zebra is no class of this net" in result.output
    assert not state.with_name(OUT).exists()


@pytest.mark.parametrize(
    ("out", "message"),
    [
        ("state.safetensors", "would overwrite .*state.safetensors, which is read"),
        ("deeper/../state.safetensors", "would overwrite .*state.safetensors, which is read"),
        ("labels.safetensors", "would overwrite .*labels.json, which is read"),
        ("net.pth", r"weights are written to a \.safetensors file"),
        ("net\udcff.safetensors", "safetensors reads weights by names in UTF-8 alone: give another"),
    ],
)
def test_what_is_read_is_never_overwritten(tmp_path: Path, out: str, message: str) -> None:
    read = tmp_path / "state.safetensors", tmp_path / "labels.json"
    (tmp_path / "deeper").mkdir()
    for path in read:
        path.write_bytes(b"the user's own")
    arguments = "alexnet", str(read[0]), "--labels", str(read[1]), "--out", str(tmp_path / out)
    result = CliRunner().invoke(app, ["import", *arguments])
    assert result.exit_code == 2
    assert re.search(message, result.output)
    assert all(path.read_bytes() == b"the user's own" for path in read)


def test_help_says_that_data_changes_the_probabilities() -> None:
    said = " ".join(CliRunner().invoke(app, ["import", "--help"]).output.split())
    assert "temperature fitted to it that every probability is then calibrated by" in said


def random_alexnet() -> nn.Module:
    """torchvision's, with weights that half precision holds; those of a layer overlap, for a file of a megabyte."""
    with torch.device("meta"):
        net: nn.Module = torchvision.models.alexnet(num_classes=7)
    generator = torch.Generator().manual_seed(0)
    drawn = {}
    for key, value in net.state_dict().items():
        rows, width = len(value), value[0].numel()
        spread = (6 / width) ** 0.5 if value.ndim > 1 else 0.1
        numbers = torch.empty(rows * 7 + width).uniform_(-spread, spread, generator=generator).half().float()
        drawn[key] = numbers.as_strided(value.shape, (7, *value[0].contiguous().stride()))
    net.load_state_dict(drawn, assign=True)
    return net.requires_grad_(False).eval()


@torch.inference_mode()
def test_alexnets_probabilities_are_torchvisions(tmp_path: Path) -> None:
    alexnet = random_alexnet()
    torch.save(alexnet.state_dict(), tmp_path / "state.pth")
    result = run("alexnet", tmp_path / "state.pth", [f"thing {number}" for number in range(7)])
    assert result.exit_code == 0, result.output
    assert "alexnet, 7 classes, 5 layers, 1" in result.output
    assert "stored in float16: a logit differs by" in result.output
    assert "accuracy not measured" in result.output
    command = shlex.split(result.output.splitlines()[-1].removeprefix("next: "))
    assert command == ["zfnet-explainer", "serve", "--weights", f"{tmp_path / OUT / 'net.safetensors'}"]
    grey = io.BytesIO()
    Image.fromarray(noise(99, 64)).convert("L").save(grey, "PNG")
    pictures = [SAMPLE.read_bytes(), encoded(noise(260, 511)), grey.getvalue()]
    explainer = Explainer(load(tmp_path / OUT / "net.safetensors"), torch.device("cpu"))
    assert explainer.record.storage is not None
    assert explainer.record.storage["largest_logit_difference"] < 1e-4, "nothing but the order of additions"
    found = explainer.probabilities([decode(one, explainer.record.preprocessing).pixels for one in pictures])
    seen = torch.stack([PIPELINE(Image.open(io.BytesIO(one)).convert("RGB")) for one in pictures])
    expected = alexnet(seen).softmax(1).numpy()
    assert np.ptp(expected, axis=1).min() > 0.01, "the classes are told apart"
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
    (tmp_path / OUT / "net.safetensors").unlink()  # a hundred megabytes


def test_what_is_asked_for_is_recorded(tmp_path: Path) -> None:
    torch.save(random_alexnet().state_dict(), tmp_path / "state.pth")
    for synset in "ab":
        (tmp_path / "data" / "val" / synset).mkdir(parents=True)
        (tmp_path / "data" / "val" / synset / "one.png").write_bytes(encoded(noise(99, 64)))
    options = ("--full", "--licence", "CC0-1.0", "--data", str(tmp_path / "data"), "--device", "cpu")
    result = run("alexnet", tmp_path / "state.pth", list("abcdefg"), *options)
    assert result.exit_code == 0, result.output
    weights = tmp_path / OUT / "net.safetensors"
    record = json.loads(weights.with_suffix(".json").read_text())
    assert (record["licence"], record["storage"]["precision"]) == ("CC0-1.0", "float32")
    with safe_open(weights, "pt") as stored:
        assert {stored.get_slice(name).get_dtype() for name in stored.keys()} == {"F32"}  # noqa: SIM118
    assert record["validation"]["images"] == 2
    assert f"top-1 {record['validation']['top1']:.2%} of 2 pictures" in result.output
    weights.unlink()  # two hundred megabytes


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
    pictures, labels = _opened(tmp_path / "data", saved.record, True, Console(stderr=True))
    found = _validated(saved, path, pictures, labels, torch.device("cpu"))
    assert found.record.validation is not None
    assert found.record.validation["images"] == 20
    assert found.record.validation["top1"] == pytest.approx(np.mean(right))
    assert load(path).record == replace(saved.record, validation=found.record.validation)
