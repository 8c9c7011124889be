"""One run in two processes that torchrun starts, on gloo."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from zfnet_explainer.training.recipe import Recipe

from .test_loop import HERE, log, trainer
from .two_processes import NORMALISED, PLAIN

ROOT = Path(__file__).parents[2]
TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]


@pytest.fixture(scope="module")
def launched(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, "subprocess.CompletedProcess[str]"]:
    """Two runs in two processes, of which one fails in the end while the other waits for it."""
    out = tmp_path_factory.mktemp("processes")
    command = [sys.executable, *TORCHRUN, "-m", "tests.training.two_processes", str(out)]
    return out, subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240)  # noqa: S603


@pytest.fixture(scope="module")
def out(launched: tuple[Path, "subprocess.CompletedProcess[str]"]) -> Path:
    return launched[0]


def test_two_processes_learn_what_one_learns(out: Path, tmp_path: Path) -> None:
    alone = trainer(tmp_path, PLAIN, count=61)
    alone.run()
    ours, theirs = log(out / "plain"), log(tmp_path)
    for row, expected in zip(ours, theirs, strict=True):
        assert float(row["loss"]) == pytest.approx(float(expected["loss"]), abs=2e-4)
    assert abs(float(theirs[0]["loss"]) - float(theirs[-1]["loss"])) > 0.02
    assert [row["val_top1"] for row in ours] == [row["val_top1"] for row in theirs]
    for name, value in torch.load(out / "plain" / "rank0.pt").items():
        torch.testing.assert_close(value, alone.net.state_dict()[name], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("name", "recipe"), [("plain", PLAIN), ("normalised", NORMALISED)])
def test_both_end_with_the_same_weights(name: str, recipe: Recipe, out: Path) -> None:
    first, second = (torch.load(out / name / f"rank{rank}.pt") for rank in range(2))
    state = load_file(out / name / "state.safetensors")
    for key, value in first.items():
        assert torch.equal(value, second[key]), key
        assert torch.equal(value, state[f"net.{key}"]), key
    assert any("bn_" in key for key in first) == recipe.batch_norm


def test_only_the_first_prints_and_logs(launched: tuple[Path, "subprocess.CompletedProcess[str]"]) -> None:
    out, done = launched
    assert done.stdout.count("epoch 3: loss") == 2, "once for each of the two runs"
    for name in ("plain", "normalised"):
        assert [row["epoch"] for row in log(out / name)] == ["1", "2", "3"]


def test_what_several_began_one_can_go_on_with(out: Path) -> None:
    assert trainer(out / "plain", PLAIN, count=61).epoch == 3


def test_when_one_fails_all_end(launched: tuple[Path, "subprocess.CompletedProcess[str]"]) -> None:
    assert launched[1].returncode != 0
    assert "the second process fails" in launched[1].stderr


@pytest.mark.parametrize(("batch", "message"), [(5, "cannot be shared evenly among 2 processes"), (12, "do not fill")])
def test_a_batch_that_cannot_be_shared(batch: int, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        trainer(tmp_path, replace(PLAIN, batch=batch), place=replace(HERE, world=2))
