"""From a folder of pictures to weights that explain a picture, as a person would."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from typer.testing import CliRunner, Result

from zfnet_explainer.commands.main import app
from zfnet_explainer.explainer import Explainer
from zfnet_explainer.explanation import Options
from zfnet_explainer.net.checkpoint import ClassName, load
from zfnet_explainer.training.data import channel_statistics, read_split
from zfnet_explainer.training.evaluate import top1
from zfnet_explainer.training.run import class_names

from ..pictures import noise

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded, use of fork:DeprecationWarning")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight pictures to train on and four to validate on, of two classes."""
    folder = tmp_path_factory.mktemp("data")
    for i in range(12):
        file = folder / ("train" if i < 8 else "val") / f"n0{i % 2}" / f"{i}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(noise(90, 110, seed=i)).save(file)
    return folder


def train(data: Path, out: Path, *options: str) -> Result:
    sizes = ["--phases", "64:1,224:1", "--batch", "4", "--device", "cpu"]
    return CliRunner().invoke(app, ["train", str(data), "--out", str(out), *sizes, *options])


@pytest.fixture(scope="module")
def trained(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run with labels of its own."""
    out = tmp_path_factory.mktemp("run")
    (out / "labels.json").write_text(json.dumps({"n00": "tench", "n01": "beagle", "n02": "unused"}))
    result = train(data, out, "--labels", str(out / "labels.json"), "--name", "tiny", "--licence", "CC0-1.0")
    assert result.exit_code == 0, result.output
    assert f"zfnet-explainer package --weights {out}/zfnet.safetensors" in result.output.replace("\n", "")
    return out


def test_the_record_says_what_the_weights_are(data: Path, trained: Path) -> None:
    checkpoint = load(trained / "zfnet.safetensors")
    record = checkpoint.record
    pictures, val = read_split(data, "train", 224), read_split(data, "val", 224)
    assert (record.name, record.architecture, record.licence) == ("tiny", "zfnet", "CC0-1.0")
    assert record.classes == (ClassName("n00", "tench"), ClassName("n01", "beagle"))
    assert record.preprocessing.size == 224
    assert (record.preprocessing.mean, record.preprocessing.std) == channel_statistics(pictures.images)
    assert record.training["images"] == 8
    assert [phase["side"] for phase in record.training["recipe"]["phases"]] == [64, 224]
    share = top1(checkpoint.chain, val, record.preprocessing, 224)
    assert record.validation == {"top1": share, "images": 4, "view": "centre square, one view"}


def test_the_weights_are_stored_small(trained: Path) -> None:
    assert (trained / "zfnet.safetensors").stat().st_size < 12 * 2**20
    shapes = {name: tuple(t.shape) for name, t in load_file(trained / "zfnet.safetensors").items()}
    assert shapes["fc6.weight.up"] == (4096, 128)
    assert shapes["fc7.weight.down"] == (80, 4096)


def test_the_trained_net_explains_a_picture(trained: Path) -> None:
    explainer = Explainer(load(trained / "zfnet.safetensors"), torch.device("cpu"))
    options = Options(
        top_k=2,
        methods=frozenset({"deconv", "occlusion"}),
        target=1,
        layers=(5,),
        features=1,
        feature=None,
        others=0,
        window=200,
        stride=24,
        fill="mean",
        precision="float32",
        crosscheck=False,
    )
    explanation = explainer.explain(noise().copy(), options)
    assert sum(p.probability for p in explanation.predictions) == pytest.approx(1)
    assert explanation.deconv is not None
    assert explanation.deconv[0].features[0].projection.abs().max() > 0
    assert explanation.occlusion is not None
    assert np.isfinite(explanation.occlusion.target_probability).all()


def test_started_again_it_has_nothing_left_to_do(data: Path, trained: Path) -> None:
    log, weights = (trained / "log.csv").read_text(), (trained / "zfnet.safetensors").read_bytes()
    result = train(data, trained, "--labels", str(trained / "labels.json"))
    assert result.exit_code == 0, result.output
    assert (trained / "log.csv").read_text() == log
    assert (trained / "zfnet.safetensors").read_bytes() == weights


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--phases 224", "is not SIDE:EPOCHS"),
        ("--phases 64:1,128:1", "the last side is ZFNet's 224"),
        ("--phases 32:1,224:1", "sides from 64"),
        ("--phases 64:0,224:1", "epochs from 1"),
        ("--device tpu", "auto, cpu or cuda, not 'tpu'"),
        ("--labels nowhere.json", "cannot read nowhere.json"),
        ("--seed 1", "holds the run of another recipe"),
        ("--batch 9", "8 pictures do not fill a batch of 9"),
    ],
)
def test_what_cannot_be_trained(
    data: Path, trained: Path, tmp_path: Path, options: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "500")
    result = train(data, trained if "--seed" in options else tmp_path, *options.split())
    assert result.exit_code == 2
    assert message in result.output


def test_splits_must_hold_the_same_classes(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "500")
    (tmp_path / "train").symlink_to(data / "train")
    (tmp_path / "val").mkdir()
    (tmp_path / "val" / "n00").symlink_to(data / "val" / "n00")
    result = train(tmp_path, tmp_path / "out")
    assert result.exit_code == 2
    assert "do not hold the same classes" in result.output


def test_class_names(tmp_path: Path) -> None:
    labels = tmp_path / "labels.json"
    labels.write_text('{"a": "ant", "b": "bee"}')
    assert class_names(("b", "a"), None) == (ClassName("b", "b"), ClassName("a", "a"))
    assert class_names(("b", "a"), labels) == (ClassName("b", "bee"), ClassName("a", "ant"))
    with pytest.raises(ValueError, match="has no label for 'c'"):
        class_names(("a", "c"), labels)
    for text in ("{", "[]", '"a"'):
        labels.write_text(text)
        with pytest.raises(ValueError, match="is not a JSON object"):
            class_names(("a",), labels)
