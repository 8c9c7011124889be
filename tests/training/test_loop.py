"""A training run of seconds: what it logs, learns from, and computes in."""

import io
import math
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from rich.console import Console
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from zfnet_explainer.accuracy.logits import top1
from zfnet_explainer.training import loop
from zfnet_explainer.training.loop import Trainer
from zfnet_explainer.training.process import Process, T
from zfnet_explainer.training.recipe import Phase, Precision
from zfnet_explainer.training.views import batches

from .runs import HERE, PREPROCESSING, RECIPE, SIDE, after_each_step, log, pictures, scalars, told, trainer


def test_a_run_logs_every_epoch(whole: Path) -> None:
    rows = log(whole)
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert [row["side"] for row in rows] == ["29", "37", "37"]
    assert all(0 < float(row["loss"]) < 5 for row in rows)
    assert sorted(p.name for p in whole.iterdir()) == ["log.csv", "state.safetensors", "tensorboard"]
    assert scalars(whole) == pytest.approx(told(rows))


def test_a_run_changes_every_weight(whole: Path, tmp_path: Path) -> None:
    start = trainer(tmp_path).net.state_dict()
    state = load_file(whole / "state.safetensors")
    for name, value in start.items():
        if not name.endswith("num_batches_tracked"):
            assert not torch.equal(state[f"net.{name}"], value), name


def test_training_computes_in_float32_whatever_was_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """TF32 is torch's default for the convolutions of a card, and its environment's may be for matrix products."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    monkeypatch.setattr(torch.backends.cuda.matmul, "allow_tf32", True)
    trainer(tmp_path)
    assert not torch.backends.cudnn.allow_tf32
    assert not torch.backends.cuda.matmul.allow_tf32


def test_the_loss_of_a_mixed_batch_is_that_of_its_shares(tmp_path: Path) -> None:
    """A black and a white picture: how bright the mixed ones are says how much of the white one is in each."""
    recipe = replace(RECIPE, mixing=1.0, class_balance=0.0, label_smoothing=0.0, dropout=0.0, averaging=0.0)
    run = trainer(tmp_path, recipe)
    images = torch.tensor([0, 255], dtype=torch.uint8)[:, None, None, None].expand(2, 3, SIDE, SIDE)
    passed: list[tuple[Tensor, Tensor]] = []
    run.net.register_forward_hook(lambda _, inputs, output: passed.append((inputs[0], output.detach().double())))
    torch.manual_seed(0)
    loss, _, count = run._step(images, torch.tensor([3, 1])).tolist()
    [(x, logits)] = passed
    black, white = PREPROCESSING.standardise(images).mean((1, 2, 3)).double()
    shares = (x.double().mean((1, 2, 3)) - black) / (white - black)
    assert 0.1 < shares[0] < 0.9, "else another seed is needed"
    logs = logits.log_softmax(1)
    expected = -((1 - shares) * logs[:, 3] + shares * logs[:, 1]).sum()
    assert (loss, count) == (pytest.approx(float(expected), rel=1e-4), 2)


@dataclass(frozen=True)
class Lone(Process):
    """One of several processes that hears nothing of the others."""

    def distributed(self, net: nn.Module) -> nn.Module:
        return net

    def total(self, counts: Tensor) -> list[float]:
        return counts.tolist()

    def gathered(self, value: T) -> list[T]:
        return [value]

    def align(self, net: nn.Module) -> None:
        pass


def test_every_epoch_and_process_draws_masks_of_its_own(tmp_path: Path) -> None:
    """What dropout would leave of ones where the first step of each of two epochs comes to it, in two processes."""
    recipe = replace(RECIPE, phases=(Phase(SIDE, 2),), mixing=0.0, averaging=0.0)
    masks: dict[tuple[int, int], tuple[float, ...]] = {}
    for rank in range(2):
        run = trainer(tmp_path / f"{rank}", recipe, process=Lone(HERE.device, HERE.console, 0, rank, world=2))
        [dropout, *_] = (layer for layer in run.net.modules() if isinstance(layer, nn.Dropout))

        def look(layer: nn.Module, _: object, run: Trainer = run) -> None:
            if layer.training and (run.process.rank, run.epoch) not in masks:
                with torch.random.fork_rng(devices=[]):
                    left = functional.dropout(torch.ones(64), 0.5)
                masks[run.process.rank, run.epoch] = tuple(left.tolist())

        dropout.register_forward_pre_hook(look)
        run.run()
    assert sorted(masks) == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert len(set(masks.values())) == 4


def test_the_loss_is_that_of_adjusted_logits(tmp_path: Path) -> None:
    """Menon et al. 2021, equation 10: cross entropy of the logits plus tau times the log of the class's share."""
    run = trainer(tmp_path, replace(RECIPE, class_balance=1.5, mixing=0.0, dropout=0.0, averaging=0.0), count=13)
    counts = [3, 3, 3, 2, 2]
    images = run.train.sample()[:4]
    labels = run.net(PREPROCESSING.standardise(images)).argmax(1)
    labels[0] = (labels[0] + 1) % 5
    seen: list[Tensor] = []
    run.net.register_forward_hook(lambda _, __, output: seen.append(output.detach().double()))
    loss, *counted = run._step(images, labels).tolist()
    expected = 0.0
    for row, label in zip(seen[0].tolist(), labels.tolist(), strict=True):
        weights = [math.exp(value) * (count / 13) ** 1.5 for value, count in zip(row, counts, strict=True)]
        logs = [math.log(weight / sum(weights)) for weight in weights]
        expected -= 0.9 * logs[label] + 0.1 * sum(logs) / 5  # label smoothing
    assert loss == pytest.approx(expected, rel=1e-5)
    assert counted == [3, 4], "right ones, of all"


def test_an_epochs_row_is_of_all_its_steps_and_a_person_sees_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two steps of four pictures an epoch, which take two seconds; the validation, after them, does not count."""
    console = Console(file=io.StringIO(), width=200)
    run = trainer(tmp_path, replace(RECIPE, phases=(Phase(SIDE, 2),)), process=replace(HERE, console=console))
    times, step, steps = iter([10.0, 12.0, 50.0, 52.0]), run._step, list[Tensor]()

    def kept(images: Tensor, labels: Tensor) -> Tensor:
        steps.append(step(images, labels))
        return steps[-1]

    monkeypatch.setattr(loop, "time", SimpleNamespace(perf_counter=lambda: next(times)))
    monkeypatch.setattr(run, "_step", kept)
    run.run()
    said = console.file.getvalue()  # type: ignore[attr-defined]
    for epoch, row in enumerate(log(tmp_path)):
        loss, right, count = sum(steps[2 * epoch : 2 * epoch + 2], torch.zeros(3)).tolist()
        assert count == 8
        assert float(row["loss"]) == pytest.approx(loss / 8, abs=1e-4)
        assert float(row["train_top1"]) == pytest.approx(right / 8, abs=1e-4)
        assert float(row["images_per_s"]) == 4
        share = float(row["val_top1"])
        assert f"epoch {epoch + 1}: loss {float(row['loss']):.3f}, val top-1 {share:.1%}, 4 images/s" in said
    assert any(row["train_top1"] != row["val_top1"] for row in log(tmp_path)), "else another seed is needed"


def test_the_seed_draws_the_weights_and_the_order_of_the_pictures(tmp_path: Path) -> None:
    runs = [trainer(tmp_path / name, replace(RECIPE, seed=seed)) for name, seed in (("a", 3), ("b", 3), ("c", 4))]
    first, again, other = (run.net.get_parameter("conv1.weight") for run in runs)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    orders = [[labels.tolist() for _, labels in batches(pictures(40), run.recipe, 0, HERE)] for run in runs]
    assert orders[0] == orders[1] != orders[2]


def test_what_is_validated_is_logged(tmp_path: Path) -> None:
    """The net as trained, at the side that the epoch trained on: at another it would be right about others."""
    run = trainer(tmp_path, replace(RECIPE, phases=(Phase(29, 1),), seed=2))
    run.run()
    small, large = (top1(run.trained(), pictures(7), PREPROCESSING, side) for side in (29, SIDE))
    assert small != large, "else another seed is needed"
    assert float(log(tmp_path)[0]["val_top1"]) == pytest.approx(small, abs=1e-4)


@pytest.mark.parametrize("balance", [0.0, 1.0])
def test_a_class_without_a_picture_leaves_the_loss_finite(balance: float, tmp_path: Path) -> None:
    run = trainer(tmp_path, replace(RECIPE, class_balance=balance, mixing=0.0), count=4)
    assert sorted(set(run.train.labels.tolist())) == [0, 1, 2, 3], "of five classes"
    run.run()
    assert all(0 < float(row["loss"]) < 10 for row in log(tmp_path))


def test_a_loss_that_is_not_finite_ends_the_run_and_spares_the_state(tmp_path: Path) -> None:
    wild = replace(RECIPE, batch_norm=False, learning_rate=1e30, warm_up=0, phases=(Phase(SIDE, 1),))
    with pytest.raises(ValueError, match=r"the loss became (nan|inf) in epoch 1: lower the learning rate$"):
        trainer(tmp_path, wild).run()
    assert not (tmp_path / "state.safetensors").exists()


def test_a_loss_that_is_not_finite_in_a_later_epoch_leaves_the_ones_before_to_begin_with(
    whole: Path, tmp_path: Path
) -> None:
    shutil.copy(whole / "state.safetensors", tmp_path)
    hint = rf"epoch 4: lower the learning rate and begin with the epochs before \(--start {tmp_path}, another --out\)$"
    with pytest.raises(ValueError, match=hint):
        trainer(tmp_path)._finite([math.inf, 0, 4])


@pytest.mark.parametrize("batch_norm", [False, True])
def test_no_filter_leaves_the_radius(batch_norm: bool, tmp_path: Path) -> None:
    run = trainer(tmp_path, replace(RECIPE, filter_radius=0.08, batch_norm=batch_norm))
    run.run()
    sizes = torch.cat([p.detach().square().mean((1, 2, 3)).sqrt() for p in run.net.parameters() if p.ndim == 4])
    assert float(sizes.max()) == pytest.approx(0.08, rel=1e-3)
    assert float(sizes.min()) < 0.05, "smaller ones stay as they are"


def test_without_batch_norm_the_net_has_none(tmp_path: Path) -> None:
    run = trainer(tmp_path, replace(RECIPE, batch_norm=False))
    run.run()
    with safe_open(tmp_path / "state.safetensors", "pt") as state:
        assert not [name for name in state.keys() if "bn_" in name]  # noqa: SIM118
    assert [name for name, _ in run.trained().named_parameters()] == [name for name, _ in run.net.named_parameters()]


def test_each_parameter_is_in_one_group(tmp_path: Path) -> None:
    run = trainer(tmp_path)
    decayed, plain_ones, last = (group["params"] for group in run.optimiser.param_groups)
    names = {id(p): name for name, p in run.net.named_parameters()}
    assert sorted(names[id(p)] for p in [*decayed, *plain_ones, *last]) == sorted(names.values())
    assert {names[id(p)] for p in last} == {"fc2.weight", "fc2.bias"}
    assert all(p.ndim > 1 for p in decayed)
    assert all(p.ndim == 1 for p in plain_ones)
    assert [group["weight_decay"] for group in run.optimiser.param_groups] == [5e-4, 0, 5e-4]


@pytest.mark.parametrize("nesterov", [False, True])
def test_the_optimiser_has_the_recipes_momentum(nesterov: bool, tmp_path: Path) -> None:
    run = trainer(tmp_path, replace(RECIPE, momentum=0.8, nesterov=nesterov))
    assert {(group["momentum"], group["nesterov"]) for group in run.optimiser.param_groups} == {(0.8, nesterov)}


def test_the_rate_rises_and_falls_and_is_a_tenth_in_the_last_layer(tmp_path: Path) -> None:
    """Two steps an epoch: a warm-up of one epoch from a tenth, times half a cosine over three epochs."""
    run = trainer(tmp_path)
    rates: list[list[float]] = []
    run.optimiser.register_step_post_hook(
        after_each_step(lambda: rates.append([group["lr"] for group in run.optimiser.param_groups]))
    )
    run.run()
    falling = [(1 + math.cos(math.pi * step / 6)) / 2 for step in range(6)]
    expected = [0.05 * rise * fall for rise, fall in zip([0.1, 0.55, 1, 1, 1, 1], falling, strict=True)]
    assert rates == [pytest.approx([rate, rate, rate / 10]) for rate in expected]
    assert rates[3][0] == pytest.approx(0.025)


def test_normalisation_is_on_in_the_epochs_that_want_it(tmp_path: Path) -> None:
    """In the last two of three, in the net that learns and in the average that is validated."""
    run = trainer(tmp_path)
    normalise = run.chain.layer("norm1")
    seen: set[tuple[int, bool, bool]] = set()

    def compare(layer: torch.nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        on = not torch.equal(output, inputs[0])
        torch.testing.assert_close(output, normalise(inputs[0]) if on else inputs[0])
        seen.add((run.epoch, layer.training, on))

    assert run.average is not None
    for net in (run.net, run.average.module):
        net.get_submodule("norm1").register_forward_hook(compare)
    run.run()
    assert seen == {(epoch, training, epoch > 0) for epoch in range(3) for training in (True, False)}


@pytest.mark.parametrize(("precision", "dtype"), [("float32", torch.float32), ("bfloat16", torch.bfloat16)])
def test_the_net_computes_in_the_recipes_precision(precision: str, dtype: torch.dtype, tmp_path: Path) -> None:
    """Its layers, that is: weights and losses are float32 in both."""
    run = trainer(tmp_path, replace(RECIPE, phases=(Phase(29, 1),), averaging=0.0, precision=Precision(precision)))
    seen: set[tuple[bool, torch.dtype]] = set()
    run.net.get_submodule("conv2").register_forward_hook(
        lambda layer, _, output: seen.add((layer.training, output.dtype))
    )
    run.run()
    assert seen == {(True, dtype), (False, dtype)}
    assert {value.dtype for value in run.net.parameters()} == {torch.float32}
    assert 0 < float(log(tmp_path)[0]["loss"]) < 5
