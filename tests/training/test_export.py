"""A trained form on its way into a checkpoint, and what its record then says."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from zfnet_explainer.net import checkpoint
from zfnet_explainer.net.chain import Chain
from zfnet_explainer.net.checkpoint import load
from zfnet_explainer.net.record import ClassName, Preprocessing, Record
from zfnet_explainer.net.thin import linear
from zfnet_explainer.pictures.labelled import Pictures
from zfnet_explainer.training.export import export
from zfnet_explainer.training.recipe import Phase, Recipe
from zfnet_explainer.training.trainable import training_form

from ..chains import named, seeded

CPU = torch.device("cpu")
RANKS = {"fc1": 4}
RECIPE = Recipe((Phase(16, 1),), batch=4, learning_rate=0.1, dropout=0.3)
RECORD = Record(
    name="tiny",
    architecture="tiny",
    classes=tuple(ClassName(name, name.upper()) for name in "abc"),
    preprocessing=Preprocessing(16, (0.5,) * 3, (0.25,) * 3),
    training={"recipe": {"ranks": RANKS}},
    validation={},
    licence="CC0-1.0",
)


def tiny(classes: int, ranks: Mapping[str, int]) -> Chain:
    dense = (nn.Flatten(), linear(4 * 14 * 14, 10, ranks.get("fc1")), nn.ReLU(), nn.Linear(10, classes))
    layers = (nn.Conv2d(3, 4, 3), nn.ReLU(), *dense)
    return Chain(named(*layers), (3, 16, 16))


@pytest.fixture(autouse=True)
def _tiny_architecture(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(checkpoint.ARCHITECTURES, "tiny", tiny)


def pictures() -> Pictures:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (60, 3, 16, 16), generator=generator, dtype=torch.uint8)
    return Pictures(images, torch.arange(60) % 3, tuple(map(str, range(60))), ("a", "b", "c"))


def trained() -> nn.Sequential:
    """Seeded weights behind BatchNorms that let them through."""
    net = seeded(training_form(tiny(3, RANKS), RECIPE), 0)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.ones_(module.weight)
    return net


def test_the_record_says_what_storage_cost(tmp_path: Path) -> None:
    net = trained()
    val, path = pictures(), tmp_path / "net.safetensors"
    x = (val.images / 255 - 0.5) / 0.25
    with torch.no_grad():
        before = net(x)
    share = export(net, RECORD, path, val, CPU)
    stored = load(path)
    after = stored.chain(x)
    found = stored.record.validation
    assert found is not None
    assert "fc1.weight.up" in load_file(path)
    assert share == float((after.argmax(1) == val.labels).double().mean())
    assert (found["top1"], found["images"]) == (round(share, 4), 60)
    assert found["top1_before_storage"] == round(float((before.argmax(1) == val.labels).double().mean()), 4)
    difference = float((after - before).abs().max())
    assert difference > 1e-4, "half precision shows"
    assert found["largest_logit_difference"] == pytest.approx(difference, abs=6e-5)
    assert sum(one["images"] for one in found["by_class"].values()) == 60
    right = sum(one["recall"] * one["images"] for one in found["by_class"].values())
    assert right == pytest.approx(60 * share, abs=0.01)
    assert {"top5", "view", "ece", "temperature", "ece_with_temperature"} < found.keys()


def test_what_was_there_stays_until_the_net_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "net.safetensors"
    export(trained(), RECORD, path, pictures(), CPU)
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    measured = iter([pictures().labels.new_zeros(60, 3).float()])  # one pass, and then the machine is gone
    monkeypatch.setattr("zfnet_explainer.training.export.logits", lambda *_: next(measured))
    with pytest.raises(StopIteration):
        export(seeded(trained(), 1), RECORD, path, pictures(), CPU)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_the_record_is_plain_json(tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    export(trained(), RECORD, path, pictures(), CPU)
    fields = json.loads(path.with_suffix(".json").read_text())
    assert list(fields["validation"]["by_class"]) == ["a", "b", "c"]
    assert 0.05 <= fields["validation"]["temperature"] <= 20
