"""Runs in two processes that torchrun's launcher starts, on gloo."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from zfnet_explainer.accuracy.logits import logits
from zfnet_explainer.training.recipe import Recipe

from .runs import HERE, PREPROCESSING, SIDE, log, pictures, trainer
from .two_processes import COUNT, NORMALISED, PLAIN

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def launched(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, "subprocess.CompletedProcess[str]"]:
    """Two runs in two processes, of which one fails in the end while the other waits for it."""
    out = tmp_path_factory.mktemp("processes")
    (out / "data/train/n1").mkdir(parents=True)
    for i in range(200):
        Image.new("RGB", (16, 16)).save(out / f"data/train/n1/{i:03}.png")
    for i in (7, 8):  # one in the share of each
        (out / f"data/train/n1/{i:03}.png").write_bytes(b"no picture")
    command = [sys.executable, "-m", "tests.training.two_processes", str(out)]
    return out, subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


@pytest.fixture(scope="module")
def out(launched: tuple[Path, "subprocess.CompletedProcess[str]"]) -> Path:
    return launched[0]


@pytest.mark.slow
def test_two_processes_learn_what_one_learns(out: Path, tmp_path: Path) -> None:
    alone = trainer(tmp_path, PLAIN, count=COUNT)
    alone.run()
    ours, theirs = log(out / "plain"), log(tmp_path)
    for row, expected in zip(ours, theirs, strict=True):
        assert float(row["loss"]) == pytest.approx(float(expected["loss"]), abs=2e-4)
    assert abs(float(theirs[0]["loss"]) - float(theirs[-1]["loss"])) > 0.02
    for name, value in torch.load(out / "plain" / "rank0.pt").items():
        torch.testing.assert_close(value, alone.net.state_dict()[name], rtol=1e-4, atol=1e-5)


def test_each_validates_its_share_of_the_pictures(out: Path, tmp_path: Path) -> None:
    """Of seven: together they are right as often as the average of all steps is, by clear margins."""
    val = pictures(7)
    average = trainer(tmp_path, PLAIN, start=out / "plain").trained()
    first, second = logits(average, val, PREPROCESSING, SIDE).topk(2).values.T
    assert float((first - second).min()) > 1e-3
    right = logits(average, val, PREPROCESSING, SIDE).argmax(1) == val.labels
    assert 0 < int(right.sum()) < 7
    assert float(log(out / "plain")[-1]["val_top1"]) == pytest.approx(int(right.sum()) / 7, abs=1e-3)


def test_each_looks_for_unreadable_pictures_in_its_share_and_both_leave_out_all(out: Path) -> None:
    expected = tuple(f"train/n1/{i:03}.png" for i in range(200) if i not in (7, 8))
    assert [torch.load(out / f"names{rank}.pt") for rank in range(2)] == [expected] * 2
    noted = json.loads((out / "stored/left-out.json").read_text())
    assert noted["left_out"].keys() == {"train/n1/007.png", "train/n1/008.png"}


@pytest.mark.parametrize(("name", "recipe"), [("plain", PLAIN), ("normalised", NORMALISED)])
def test_both_end_with_the_same_weights(name: str, recipe: Recipe, out: Path) -> None:
    first, second = (torch.load(out / name / f"rank{rank}.pt") for rank in range(2))
    state = load_file(out / name / "state.safetensors")
    for key, value in first.items():
        torch.testing.assert_close(value, second[key], rtol=1e-5, atol=1e-6, msg=key)
        assert torch.equal(value, state[f"net.{key}"]), key
    assert any("bn_" in key for key in first) == recipe.batch_norm


def test_only_the_first_prints_and_logs(launched: tuple[Path, "subprocess.CompletedProcess[str]"]) -> None:
    out, done = launched
    assert done.stdout.count("epoch 3: loss") == 2, "once for each of the two runs"
    for name in ("plain", "normalised"):
        assert [row["epoch"] for row in log(out / name)] == ["1", "2", "3"]


def test_what_several_began_one_can_go_on_with(out: Path) -> None:
    assert trainer(out / "plain", PLAIN, count=COUNT).epoch == 3


def test_machines_that_share_no_folder_are_refused(out: Path) -> None:
    """Files of each split before they are opened, then pictures and state."""
    remedy = "give all machines the same command, and folders that they share"
    for rank in range(2):
        refused = json.loads((out / f"refused{rank}.json").read_text())
        assert refused == [f"the processes differ in {what}: {remedy}" for what in ("DATA", "DATA", "OUT, DATA")]


@pytest.mark.parametrize("rank", [0, 1])
def test_what_one_machine_alone_cannot_read_is_named_on_all(rank: int, out: Path) -> None:
    expected = "a machine could not read train/n1/000.png, which others could: try again"
    assert (out / f"unread{rank}").read_text() == expected


def test_the_machine_with_the_least_memory_decides_for_all(out: Path) -> None:
    """Otherwise some would take their statistics of all pictures, others of a sample."""
    assert [(out / f"kind{rank}").read_text() for rank in range(2)] == ["StoredPictures"] * 2


def test_when_one_fails_all_end(launched: tuple[Path, "subprocess.CompletedProcess[str]"]) -> None:
    out, done = launched
    assert done.returncode != 0
    assert "train FAILED" in done.stderr
    [error] = out.glob("logs/**/1/error.json")
    assert "the second process fails" in error.read_text()
    assert not (out / "went-on").exists(), "the first waits in vain"


@pytest.mark.parametrize(("batch", "message"), [(5, "cannot be shared evenly among 2 processes"), (12, "do not fill")])
def test_a_batch_that_cannot_be_shared(batch: int, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        trainer(tmp_path, replace(PLAIN, batch=batch), process=replace(HERE, world=2))
