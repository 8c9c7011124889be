"""From a folder of pictures to weights that explain a picture, as a person would."""

import csv
import io
import json
import shlex
import shutil
import zipfile
from collections import namedtuple
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console
from safetensors.torch import load_file
from typer.testing import CliRunner, Result

from zfnet_explainer.accuracy.logits import top1
from zfnet_explainer.commands.main import app
from zfnet_explainer.net import checkpoint
from zfnet_explainer.net.checkpoint import load
from zfnet_explainer.net.record import ClassName
from zfnet_explainer.net.zfnet import zfnet
from zfnet_explainer.pictures import labelled, stream
from zfnet_explainer.pictures.labelled import Pictures, StoredPictures, channel_statistics
from zfnet_explainer.pictures.stream import Tolerance
from zfnet_explainer.studies.model_card import training_tables
from zfnet_explainer.studies.tables import percent
from zfnet_explainer.training import run, views
from zfnet_explainer.training.held_back import hold_back
from zfnet_explainer.training.loop import Trainer
from zfnet_explainer.training.process import Process
from zfnet_explainer.training.recipe import FAST, Precision
from zfnet_explainer.training.resume import held_back_at_least

from .. import narrow
from ..door import ask, worker
from ..pictures.splits import read_split
from ..samples import noise
from .runs import HERE, SIDE, pictures

FreeSpace = namedtuple("FreeSpace", "free")
SIZES = [
    *("--recipe", "fast", "--phases", "64:12,224:1", "--norm-epochs", "13", "--batch", "8"),
    *("--device", "cpu", "--loaders", "0", "--precision", "float32"),
]
LABELS = {"n00": "tench", "n01": "beagle", "n02": "church", "n03": "unused"}


@pytest.fixture(scope="module", autouse=True)
def _narrow() -> Iterator[None]:
    """A net with ZFNet's layers that learns in a second."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "zfnet", narrow.zfnet)
        patch.setitem(checkpoint.ARCHITECTURES, "zfnet", narrow.zfnet)
        yield


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "500")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three classes, told apart by which colour is missing: 24 pictures to train on and 6 to validate on."""
    folder = tmp_path_factory.mktemp("data")
    for i in range(30):
        file = folder / ("train" if i < 24 else "val") / f"n0{i % 3}" / f"{i}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        pixels = 128 + noise(90, 110, seed=i) // 2
        pixels[..., i % 3] //= 8
        Image.fromarray(pixels).save(file)
    return folder


def train(data: Path, out: Path, *options: str) -> Result:
    return CliRunner().invoke(app, ["train", str(data), "--out", str(out), *SIZES, *options])


@pytest.fixture(scope="module")
def trained(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run with labels of its own."""
    out = tmp_path_factory.mktemp("run")
    (out / "labels.json").write_text(json.dumps(LABELS))
    result = train(data, out, "--labels", str(out / "labels.json"), "--name", "tiny", "--licence", "CC0-1.0")
    assert result.exit_code == 0, result.output
    assert f"zfnet-explainer serve --weights {out}/zfnet.safetensors" in result.output.replace("\n", "")
    return out


def test_the_record_says_what_the_weights_are(data: Path, trained: Path) -> None:
    found = load(trained / "zfnet.safetensors")
    record = found.record
    shown, val = read_split(data, "train", 224), read_split(data, "val", 224)
    assert (record.name, record.architecture, record.licence) == ("tiny", "zfnet", "CC0-1.0")
    assert record.classes == tuple(ClassName(synset, LABELS[synset]) for synset in ("n00", "n01", "n02"))
    assert record.preprocessing.size == 224
    assert (record.preprocessing.mean, record.preprocessing.std) == channel_statistics(shown.images)
    share = top1(found.chain, val, record.preprocessing, 224)
    assert record.validation is not None
    assert (record.validation["top1"], record.validation["images"]) == (share, 6)


def test_the_record_says_how_they_were_trained(trained: Path) -> None:
    training = load(trained / "zfnet.safetensors").record.training
    assert training["images"] == 24
    assert training["recipe"]["phases"] == [
        {"side": 64, "epochs": 12, "crops": [0.25, 1.0]},
        {"side": 224, "epochs": 1, "crops": [0.25, 1.0]},
    ]
    assert (training["recipe"]["learning_rate"], training["start"]) == (0.02, None)
    with (trained / "log.csv").open() as file:
        rows = [{name: float(row[name]) for name in training["log"][0]} for row in csv.DictReader(file)]
    assert training["log"] == rows
    assert [row["epoch"] for row in rows] == [*range(1, 14)]


def test_the_weights_are_stored_thin_and_in_half_precision(trained: Path) -> None:
    stored = load_file(trained / "zfnet.safetensors")
    assert tuple(stored["fc6.weight.up"].shape) == (narrow.UNITS, 128)
    assert tuple(stored["fc7.weight.down"].shape) == (80, narrow.UNITS)
    assert {value.dtype for name, value in stored.items() if "weight" in name} == {torch.float16}


def test_zfnet_as_thin_as_that_is_small() -> None:
    with torch.device("meta"):
        chain = zfnet(len(LABELS), FAST.ranks)
    assert sum(2 * parameter.numel() for parameter in chain.parameters()) < 12 * 2**20


def test_two_commands_make_a_model_that_is_served(data: Path, trained: Path, tmp_path: Path) -> None:
    """Train, package; then TorchServe's worker around the handler, on what the archive holds."""
    archive, folder = tmp_path / "mine.mar", tmp_path / "model"
    command = ["package", "--weights", str(trained / "zfnet.safetensors"), "--out", str(archive)]
    assert CliRunner().invoke(app, command).exit_code == 0
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(folder)
    service = worker(folder)
    for file in sorted(data.glob("val/*/*")):
        [answer], _ = ask(service, [{"fields": {"body": bytearray(file.read_bytes())}, "explain": False}])
        found = json.loads(answer)["predictions"]
        assert found[0]["synset"] == file.parent.name, file
        assert found[0]["label"] == LABELS[file.parent.name]
        assert sum(p["probability"] for p in found) == pytest.approx(1, abs=1e-3)
    fields = {"data": bytearray(file.read_bytes()), "window": b"112", "stride": b"112", "features": b"1"}
    [answer], _ = ask(service, [{"fields": fields, "explain": True}])
    assert json.loads(answer)["deconv"]["layers"][0]["features"][0]["activation"] > 0
    assert np.isfinite(json.loads(answer)["occlusion"]["target_probability"]).all()


@pytest.mark.parametrize("name", ["r[/b]", "r [draft] :cat:"])
def test_the_command_it_ends_with_can_be_copied(
    data: Path, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    result = train(data, tmp_path / name, "--phases", "224:1", "--norm-epochs", "1")
    assert result.exit_code == 0, result.output
    *_, stored, following = result.output.splitlines()
    assert stored.endswith(f"as stored in {tmp_path / name}/zfnet.safetensors")
    program, *arguments = shlex.split(following.removeprefix("next: "))
    assert (program, arguments) == ("zfnet-explainer", ["serve", "--weights", f"{tmp_path / name}/zfnet.safetensors"])


@pytest.mark.parametrize("inside", ["", "deeper/run"])
def test_a_folder_that_cannot_be_written_is_refused_before_any_picture_is_read(tmp_path: Path, inside: str) -> None:
    (tmp_path / "file").write_text("the user's own")
    result = train(tmp_path / "nowhere", tmp_path / "file" / inside)
    assert result.exit_code == 2
    assert f"{tmp_path / 'file' / inside}: no files can be made in it" in result.output
    assert (tmp_path / "file").read_text() == "the user's own"


def test_started_again_it_has_nothing_left_to_do(data: Path, trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where there is less memory than at its beginning: a sample of its pictures has other statistics."""
    log, weights = (trained / "log.csv").read_text(), (trained / "zfnet.safetensors").read_bytes()
    record = load(trained / "zfnet.safetensors").record
    monkeypatch.setattr(run, "memory_limit", lambda: 0)
    monkeypatch.setattr(labelled, "SAMPLE", 3)
    about = ("--name", "tiny", "--licence", "CC0-1.0")
    result = train(data, trained, "--labels", str(trained / "labels.json"), *about)
    assert result.exit_code == 0, result.output
    assert (trained / "log.csv").read_text() == log
    assert (trained / "zfnet.safetensors").read_bytes() == weights
    assert load(trained / "zfnet.safetensors").record == record


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--recipe slow", "is not one of"),
        ("--start nowhere", "nowhere holds no run"),
        ("--start RUN --no-batch-norm", "is another one (classes, ranks or BatchNorm differ)"),
        ("--labels few.json", "the labels have none for class n01, n02"),
        ("--phases 224", "is not SIDE:EPOCHS"),
        ("--phases=", "is not SIDE:EPOCHS"),
        ("--phases 64:1,128:1", "the last side is ZFNet's 224"),
        ("--phases 32:1,224:1", "sides from 64"),
        ("--phases 64:0,224:1", "epochs from 1"),
        ("--phases 224:1:0.6-1:2", "is not SIDE:EPOCHS"),
        ("--phases 224:1:0.6-small", "is not SIDE:EPOCHS"),
        ("--phases 224:1:0.6-0.5", "the smallest first"),
        ("--phases 224:1:0", "crops show from 0.01 to 1"),
        ("--device tpu", "'tpu' is not one of 'auto', 'cpu', 'cuda'"),
        ("--labels nowhere.json", "cannot read nowhere.json"),
        ("--seed 1", "holds the run of another recipe"),
        ("--batch 25", "24 pictures do not fill a batch of 25: choose a smaller --batch"),
        ("--batch 20 --hold-back 0.25", "18 pictures do not fill a batch of 20: choose a smaller --batch"),
    ],
)
def test_what_cannot_be_trained_is_said_before_any_picture_is_decoded(
    data: Path, trained: Path, tmp_path: Path, options: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "decode", lambda *_: pytest.fail("a picture is decoded"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "few.json").write_text('{"n00": "tench"}')
    result = train(data, trained if "--seed" in options else tmp_path, *options.replace("RUN", str(trained)).split())
    assert result.exit_code == 2
    assert message in result.output


def test_a_part_is_held_back_and_the_validation_pictures_are_kept_for_the_end(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainers: list[Trainer] = []

    def kept(*arguments: Any) -> Trainer:
        trainers.append(Trainer(*arguments))
        return trainers[-1]

    monkeypatch.setattr(run, "Trainer", kept)
    result = train(data, tmp_path, "--phases", "224:1:0.5-0.9", "--norm-epochs", "1", "--hold-back", "0.4")
    assert result.exit_code == 0, result.output
    assert "15 pictures to train on, 9 held back, 6 to validate on, 3 classes" in result.output
    assert "held-back top-1" in result.output
    shown, val = read_split(data, "train", 224), read_split(data, "val", 224)
    trained_on, held = hold_back(shown, 0.4)
    [trainer] = trainers
    assert (trainer.train.names, trainer.val.names) == (trained_on.names, held.names)
    found = load(tmp_path / "zfnet.safetensors")
    record = found.record
    assert record.training["images"] == 15
    assert record.training["recipe"]["phases"] == [{"side": 224, "epochs": 1, "crops": [0.5, 0.9]}]
    assert [sorted(row) for row in record.training["log"]] == [["epoch", "held_back_top1", "loss", "side"]]
    assert record.validation is not None
    share = top1(found.chain, val, record.preprocessing, 224)
    assert (record.validation["top1"], record.validation["images"]) == (pytest.approx(share, abs=1e-4), 6)
    [row] = training_tables(record)[1].rows
    assert row[-1] == percent(record.training["log"][0]["held_back_top1"])


@pytest.mark.parametrize(("share", "told"), [("0.25", True), ("0", False)])
def test_a_start_that_held_less_back_is_told(
    data: Path, trained: Path, tmp_path: Path, share: str, told: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(_: Trainer) -> None:
        raise ValueError("enough")

    monkeypatch.setattr(Trainer, "run", stop)
    result = train(data, tmp_path, "--phases", "224:1", "--hold-back", share, "--start", str(trained))
    assert "enough" in result.output
    words = " ".join(result.output.split())
    assert ("begins with held 0% of its pictures back, this one 25%: if they are the same" in words) == told


def test_the_least_that_was_held_back_counts_on_the_way_to_the_weights() -> None:
    first: dict[str, Any] = {"recipe": {}, "start": None}
    second = {"recipe": {"hold_back": 0.3}, "start": first}
    assert held_back_at_least({"recipe": {"hold_back": 0.2}, "start": {"recipe": {"hold_back": 0.1}}}) == 0.1
    assert held_back_at_least({"recipe": {"hold_back": 0.2}, "start": second}) == 0


@pytest.mark.parametrize("scale", [True, False])
def test_inputs_are_scaled_or_grey_levels(scale: bool) -> None:
    """Within what is lost of a mean that the record tells to four digits."""
    images = pictures(10).images
    found = run.preprocessing_of(pictures(10), SIDE, scale).standardise(images)
    expected = images.double() - images.double().mean((0, 2, 3), keepdim=True)
    if scale:
        expected /= images.double().transpose(0, 1).flatten(1).std(1, correction=0).view(1, 3, 1, 1)
    torch.testing.assert_close(found.double(), expected, rtol=1e-3, atol=0.02)


@pytest.mark.parametrize(
    ("room", "neighbours", "kind", "over"),
    [
        (24 + 6, 1, Pictures, False),
        (24 + 5, 1, StoredPictures, False),
        (2 * (24 + 6), 2, Pictures, False),
        (24 + 6, 2, StoredPictures, False),
        (6, 1, StoredPictures, False),
        (5, 1, StoredPictures, True),
    ],
)
def test_both_splits_and_the_processes_of_a_machine_share_its_memory(
    data: Path, tmp_path: Path, room: int, neighbours: int, kind: type, over: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Room for that many pictures; 24 are trained on, and 6 validate, in memory in any case, which may be too many."""
    monkeypatch.setattr(run, "memory_limit", lambda: room * 3 * 16 * 16)
    console = Console(file=io.StringIO(), width=500)
    process = replace(HERE, console=console, neighbours=neighbours)
    train, val = run.open_splits(
        run.list_splits(data, Tolerance(True, print)), data, 16, tmp_path, process, Tolerance(True, print)
    )
    assert isinstance(train, kind)
    assert (len(train), len(val)) == (24, 6)
    said = console.file.getvalue()  # type: ignore[attr-defined]
    assert ("the 6 validation pictures take 0.0 GiB of memory in each process, more than" in said) == over


def test_splits_must_hold_the_same_classes(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "500")
    (tmp_path / "train").symlink_to(data / "train")
    (tmp_path / "val").mkdir()
    (tmp_path / "val" / "n00").symlink_to(data / "val" / "n00")
    result = train(tmp_path, tmp_path / "out")
    assert result.exit_code == 2
    assert f"{tmp_path}/val has no picture of n01, n02, which the other split has" in result.output


def test_class_names() -> None:
    assert run.class_names(("b", "a"), None) == (ClassName("b", "b"), ClassName("a", "a"))
    labels = {"a": "ant", "b": "bee"}
    assert run.class_names(("b", "a"), labels) == (ClassName("b", "bee"), ClassName("a", "ant"))
    with pytest.raises(ValueError, match="the labels have none for class c, d, e, f, g and 2 more"):
        run.class_names(tuple("acdefghi"), labels)
    with pytest.raises(ValueError, match=r"one line of text that is not blank, not 'a\\nb'"):
        run.class_names(("a\nb",), None)


@pytest.mark.parametrize(
    "text",
    ["{", "[]", '"a"', '{"n00": ["tabby", "n02123045"]}', '{"n00": 0}', '{"n00": null}', '{"n00": " "}', '{"n00": {}}'],
)
def test_labels_that_are_none_are_refused_before_any_picture_is_read(tmp_path: Path, text: str) -> None:
    (tmp_path / "labels.json").write_text(text)
    result = train(tmp_path / "nowhere", tmp_path / "out", "--labels", str(tmp_path / "labels.json"))
    assert result.exit_code == 2
    assert 'labels.json must be a JSON object {"CLASS": "label", ...}, each label a text' in result.output
    assert "n00" not in text or "'n00' has " in result.output
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("memory", [2**30, 0], ids=["in memory", "too many for memory"])
def test_an_unreadable_picture_is_left_out_or_with_strict_refused(
    data: Path, tmp_path: Path, memory: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "memory_limit", lambda: memory)
    shutil.copytree(data, tmp_path / "data")
    (tmp_path / "data/train/n00/0.png").write_bytes(b"no picture")
    short = ("--phases", "224:1", "--norm-epochs", "1")
    result = train(tmp_path / "data", tmp_path / "out", *short)
    assert result.exit_code == 0, result.output
    assert "left out: train/n00/0.png: these bytes are not a picture" in result.output
    assert "23 pictures to train on" in result.output
    result = train(tmp_path / "data", tmp_path / "strict", *short, "--strict")
    assert result.exit_code == 2
    assert "1 of 24 pictures cannot be read, more than the 0% that are left out" in result.output


def test_loaders_without_room_to_hand_over_their_batches_are_refused(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(views, "SHARED_MEMORY", tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: FreeSpace(5 << 20))
    result = train(data, tmp_path / "out", "--loaders", "2")
    assert result.exit_code == 2
    assert "2 loaders hand over 6 MiB through" in result.output
    assert "which has 5 MiB free: choose --loaders 0" in result.output


@pytest.mark.parametrize(("has", "expected"), [(False, Precision.FLOAT32), (True, Precision.BFLOAT16)])
def test_a_processor_without_bfloat16_trains_in_float32(
    monkeypatch: pytest.MonkeyPatch, has: bool, expected: Precision
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": has})
    console = Console(record=True, width=200, quiet=False, file=io.StringIO())
    assert run.suited(FAST, Process(torch.device("cpu"), console)) == replace(FAST, precision=expected)
    said = console.export_text()
    assert ("this processor has no bfloat16 instructions: training in float32" in said) is not has
    assert (
        run.suited(replace(FAST, precision=Precision.FLOAT32), Process(torch.device("cpu"), console)).precision
        == "float32"
    )


def test_without_a_wish_the_processor_decides_on_the_precision(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict)
    sizes = ("--phases", "224:1", "--norm-epochs", "1", "--batch", "8", "--device", "cpu", "--loaders", "0")
    result = CliRunner().invoke(app, ["train", str(data), "--out", str(tmp_path), *sizes])
    assert result.exit_code == 0, result.output
    assert "this processor has no bfloat16 instructions: training in float32" in result.output
    assert load(tmp_path / "zfnet.safetensors").record.training["recipe"]["precision"] == "float32"
