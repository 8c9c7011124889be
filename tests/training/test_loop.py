"""A training run of seconds: killed, resumed, started from another, refused."""

import json
import math
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from tensorboardX.proto.event_pb2 import Event
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel

from zfnet_explainer.accuracy.logits import top1
from zfnet_explainer.pictures.labelled import Pictures
from zfnet_explainer.training import averaging, loop
from zfnet_explainer.training.averaging import measure_statistics
from zfnet_explainer.training.loop import Trainer
from zfnet_explainer.training.process import Process
from zfnet_explainer.training.recipe import Phase, Precision, Recipe
from zfnet_explainer.training.state import Metadata, save_state

from ..chains import like_zfnet, plain
from ..room import room_for
from .runs import HERE, PREPROCESSING, RECIPE, SIDE, log, pictures, trainer

Hook = Callable[[torch.optim.Optimizer, tuple[object, ...], dict[str, object]], None]


def without_speed(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    return [{key: value for key, value in row.items() if key != "images_per_s"} for row in rows]


def assert_same_state(found: Path, expected: Path) -> None:
    """As close as rounding leaves two runs: a momentum or a picture that is lost is a thousand times as much."""
    ours, theirs = load_file(found / "state.safetensors"), load_file(expected / "state.safetensors")
    assert ours.keys() == theirs.keys()
    for name, value in theirs.items():
        torch.testing.assert_close(ours[name], value, rtol=1e-5, atol=1e-6, msg=name)
    for row, other in zip(without_speed(log(found)), without_speed(log(expected)), strict=True):
        assert {key: float(value) for key, value in row.items()} == pytest.approx(
            {key: float(value) for key, value in other.items()}, abs=2e-4
        )


def scalars(out: Path) -> dict[tuple[str, int], float]:
    """What TensorBoard's newest file holds, by name and epoch."""
    content, at = max((out / "tensorboard").iterdir()).read_bytes(), 0
    found: dict[tuple[str, int], float] = {}
    while at < len(content):
        (length,) = struct.unpack_from("<Q", content, at)
        event = Event.FromString(content[at + 12 : at + 12 + length])
        found |= {(value.tag, event.step): value.simple_value for value in event.summary.value}
        at += 12 + length + 4
    return found


def told(rows: list[dict[str, str]]) -> dict[tuple[str, int], float]:
    """The same values from `log.csv`."""
    return {(name, int(row["epoch"])): float(v) for row in rows for name, v in row.items() if name != "epoch"}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nobody disturbs."""
    out = tmp_path_factory.mktemp("whole")
    trainer(out).run()
    return out


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


def after_each_step(follow: Callable[[], None]) -> Hook:
    """What an optimiser calls after its steps."""
    return lambda *_: follow()


def test_the_average_follows_the_weights_of_every_step(tmp_path: Path) -> None:
    """Less of the past in the first steps, and none of before the normalisation came in (RECIPE: in epoch 2)."""
    run = trainer(tmp_path, replace(RECIPE, phases=(Phase(SIDE, 3),), averaging=0.3))
    steps = len(run.train) // RECIPE.batch
    taken = 0
    expected: dict[str, Tensor] = {}

    def follow() -> None:
        nonlocal taken
        seen = taken if taken < steps else taken - steps  # since the average began
        past = min(0.3, (1 + seen) / (10 + seen)) if seen else 0.0
        for name, value in run.net.named_parameters():
            expected[name] = past * expected.get(name, torch.zeros(())) + (1 - past) * value.detach().double()
        taken += 1

    run.optimiser.register_step_post_hook(after_each_step(follow))
    run.run()
    assert taken == 3 * steps
    for name, value in run.trained().named_parameters():
        torch.testing.assert_close(value.detach().double(), expected[name], rtol=1e-5, atol=1e-6)


def test_the_batch_statistics_are_the_averages_own(tmp_path: Path) -> None:
    """Of what its first convolution makes of the pictures that are trained on, not a mean of the nets' statistics."""
    run = trainer(tmp_path)
    run.run()
    result = run.trained()
    x = PREPROCESSING.standardise(run.train.sample())
    maps = result.get_submodule("conv1")(x).transpose(0, 1).flatten(1).detach()
    for net, same in ((result, True), (run.net, False)):
        norm = net.get_submodule("bn_conv1")
        mean, var = cast(Tensor, norm.running_mean), cast(Tensor, norm.running_var)
        assert torch.allclose(mean, maps.mean(1), rtol=1e-3, atol=1e-5) is same
        assert torch.allclose(var, maps.var(1), rtol=1e-3, atol=1e-5) is same


def test_the_batch_statistics_are_of_all_classes_together(tmp_path: Path) -> None:
    """Pictures in the order of their classes, four batches: in the mean over batches of one class, what tells classes
    apart would be no variance."""
    source = pictures(256)
    order = source.labels.argsort(stable=True)
    ordered = replace(source, images=source.images[order], labels=source.labels[order])
    run = trainer(tmp_path)
    assert run.average is not None
    measure_statistics(run.average, ordered, PREPROCESSING, SIDE)
    maps = run.net.get_submodule("conv1")(PREPROCESSING.standardise(source.images)).transpose(0, 1).flatten(1)
    norm = run.average.module.get_submodule("bn_conv1")
    torch.testing.assert_close(norm.running_mean, maps.mean(1).detach(), rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(norm.running_var, maps.var(1).detach(), rtol=0.02, atol=0)


def test_the_statistics_of_many_pictures_are_of_some_from_all_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each picture four times, in the order of their classes: a quarter of them, evenly spread, has each once."""
    monkeypatch.setattr(averaging, "MEASURED", 64)
    source = pictures(64)
    order = source.labels.argsort(stable=True).repeat_interleave(4)
    ordered = replace(source, images=source.images[order], labels=source.labels[order])
    run = trainer(tmp_path)
    assert run.average is not None
    measure_statistics(run.average, ordered, PREPROCESSING, SIDE)
    maps = run.net.get_submodule("conv1")(PREPROCESSING.standardise(source.images)).transpose(0, 1).flatten(1)
    norm = run.average.module.get_submodule("bn_conv1")
    torch.testing.assert_close(norm.running_mean, maps.mean(1).detach(), rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(norm.running_var, maps.var(1).detach(), rtol=1e-3, atol=1e-5)


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


def test_what_is_validated_is_logged(tmp_path: Path) -> None:
    """The net as trained, at the side that the epoch trained on: at another it would be right about others."""
    run = trainer(tmp_path, replace(RECIPE, phases=(Phase(29, 1),), seed=2))
    run.run()
    small, large = (top1(run.trained(), pictures(7), PREPROCESSING, side) for side in (29, SIDE))
    assert small != large, "else another seed is needed"
    assert float(log(tmp_path)[0]["val_top1"]) == pytest.approx(small, abs=1e-4)


def test_a_run_without_averaging_ends_with_the_weights_as_they_are(tmp_path: Path) -> None:
    run = trainer(tmp_path, replace(RECIPE, averaging=0.0))
    run.run()
    for name, value in run.trained().state_dict().items():
        assert torch.equal(value, run.net.state_dict()[name]), name
    again = trainer(tmp_path / "next", start=tmp_path)
    first = "conv1.weight"
    assert torch.equal(again.net.state_dict()[first], run.net.state_dict()[first])


@pytest.mark.parametrize("saved", [False, True])
def test_a_killed_run_goes_on_to_the_same_end(
    saved: bool, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between the log's second row and the state's place on disk, or right after that."""

    def save_and_die(
        out: Path,
        net: torch.nn.Module,
        optimiser: torch.optim.Optimizer,
        average: AveragedModel | None,
        metadata: Metadata,
    ) -> None:
        if saved or metadata["epoch"] == 1:
            save_state(out, net, optimiser, average, metadata)
        if metadata["epoch"] == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(loop, "save_state", save_and_die)
        with pytest.raises(KeyboardInterrupt):
            trainer(tmp_path).run()
    assert len(log(tmp_path)) == 2
    resumed = trainer(tmp_path)
    assert resumed.epoch == (2 if saved else 1)
    resumed.run()
    assert_same_state(tmp_path, whole)
    assert scalars(tmp_path) == pytest.approx(told(log(tmp_path)))


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded, use of fork:DeprecationWarning")
def test_who_loads_the_pictures_changes_nothing(whole: Path, tmp_path: Path) -> None:
    trainer(tmp_path, process=replace(HERE, loaders=2)).run()
    assert_same_state(tmp_path, whole)


def test_a_finished_run_stays_finished(whole: Path) -> None:
    before = {path: path.read_bytes() for path in whole.rglob("*") if path.is_file()}
    trainer(whole).run()
    assert {path: path.read_bytes() for path in whole.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("recipe", "difference"),
    [
        (replace(RECIPE, seed=4), "(seed 3 there, 4 here): choose another folder, which may begin with its weights ("),
        (replace(RECIPE, phases=RECIPE.phases[:1]), "(phases [{"),
        (replace(RECIPE, ranks={"fc1": 5}), "(ranks {'fc1': 6} there, {'fc1': 5} here)"),
        (replace(RECIPE, seed=4, dropout=0.1, batch=5, mixing=0.1), "; ...): choose another folder"),
    ],
    ids=["seed", "phases", "ranks", "many"],
)
def test_the_folder_of_another_recipe_is_refused(whole: Path, recipe: Recipe, difference: str) -> None:
    with pytest.raises(ValueError, match=re.escape(difference)):
        trainer(whole, recipe)


@pytest.mark.parametrize("balance", [0.0, 1.0])
def test_a_class_without_a_picture_leaves_the_loss_finite(balance: float, tmp_path: Path) -> None:
    run = trainer(tmp_path, replace(RECIPE, class_balance=balance, mixing=0.0), count=4)
    assert sorted(set(run.train.labels.tolist())) == [0, 1, 2, 3], "of five classes"
    run.run()
    assert all(0 < float(row["loss"]) < 10 for row in log(tmp_path))


def test_a_run_of_another_version_is_refused(whole: Path, tmp_path: Path) -> None:
    with safe_open(whole / "state.safetensors", "pt") as state:
        metadata = state.metadata()
    recipe = json.loads(metadata["recipe"])
    del recipe["class_balance"]
    metadata["recipe"] = json.dumps(recipe | {"smallest_crop": 0.25})
    save_file(load_file(whole / "state.safetensors"), tmp_path / "state.safetensors", metadata)
    with pytest.raises(ValueError, match=r"a run that another version began, .* begin with its weights \(--start "):
        trainer(tmp_path)
    trainer(tmp_path / "next", start=tmp_path)


def test_other_pictures_are_refused(whole: Path) -> None:
    with pytest.raises(ValueError, match="holds the run of other pictures"):
        trainer(whole, count=11)


def test_a_damaged_state_is_refused(whole: Path, tmp_path: Path) -> None:
    (tmp_path / "state.safetensors").write_bytes((whole / "state.safetensors").read_bytes()[:-100])
    with pytest.raises(ValueError, match=r"state\.safetensors is damaged"):
        trainer(tmp_path)


@pytest.mark.parametrize(
    "metadata",
    [None, {"format": "pt"}, {"epoch": "1"}, {"recipe": "{", "epoch": "1"}, {"recipe": "[]", "epoch": "1"}],
)
def test_a_state_of_another_program_is_refused(tmp_path: Path, metadata: dict[str, str] | None) -> None:
    save_file({"a": torch.zeros(1)}, tmp_path / "state.safetensors", metadata)
    refused = r"state\.safetensors is damaged, or not this program's .* remove it or choose another folder"
    with pytest.raises(ValueError, match=refused):
        trainer(tmp_path)
    with pytest.raises(ValueError, match=refused):
        trainer(tmp_path / "out", start=tmp_path)


def test_where_the_disk_is_full_it_says_so_and_goes_on_once_there_is_room(whole: Path, tmp_path: Path) -> None:
    log_fits = 2**15
    assert (whole / "state.safetensors").stat().st_size > log_fits > (whole / "log.csv").stat().st_size
    run = trainer(tmp_path)
    with room_for(log_fits), pytest.raises(OSError, match=r"File too large: '.*state\.safetensors'"):
        run.run()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log.csv", "tensorboard"], "no half of a state"
    trainer(tmp_path).run()
    assert_same_state(tmp_path, whole)


def test_a_warm_restart_begins_with_the_weights_of_another_run(whole: Path, tmp_path: Path) -> None:
    run = trainer(tmp_path, replace(RECIPE, seed=9), start=whole)
    assert run.epoch == 0
    for name, value in run.net.state_dict().items():
        assert torch.equal(value, load_file(whole / "state.safetensors")[f"average.module.{name}"]), name
    assert not run.optimiser.state, "no momentum yet"
    run.run()
    again = trainer(tmp_path, replace(RECIPE, seed=9), start=whole)
    assert again.epoch == 3
    began = again.metadata["start"]
    assert began["recipe"]["seed"] == 3
    assert [row["epoch"] for row in began["log"]] == [1, 2, 3]
    assert [str(row["loss"]) for row in began["log"]] == [row["loss"] for row in log(whole)]
    with pytest.raises(ValueError, match="holds the run of another --start"):
        trainer(tmp_path, replace(RECIPE, seed=9))


def test_a_state_that_says_only_its_recipe_and_epoch_can_be_a_start(whole: Path, tmp_path: Path) -> None:
    old = tmp_path / "old"
    old.mkdir()
    metadata = {"recipe": json.dumps({"batch": 4}), "epoch": "2"}
    save_file(load_file(whole / "state.safetensors"), old / "state.safetensors", metadata)
    (old / "log.csv").write_text((whole / "log.csv").read_text())
    began = trainer(tmp_path / "new", start=old).metadata["start"]
    assert began["recipe"] == {"batch": 4}
    assert [row["epoch"] for row in began["log"]] == [1, 2]


def test_what_cannot_be_a_start(whole: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds no run"):
        trainer(tmp_path / "out", start=tmp_path)
    with pytest.raises(ValueError, match=r"the net in .* is another one \(classes, ranks or BatchNorm differ\)"):
        trainer(tmp_path / "out", replace(RECIPE, batch_norm=False), start=whole)


def test_a_loss_that_is_not_finite_ends_the_run_and_spares_the_state(tmp_path: Path) -> None:
    wild = replace(RECIPE, batch_norm=False, learning_rate=1e30, warm_up=0, phases=(Phase(SIDE, 1),))
    with pytest.raises(ValueError, match=r"the loss became (nan|inf) in epoch 1: lower the learning rate"):
        trainer(tmp_path, wild).run()
    assert not (tmp_path / "state.safetensors").exists()


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


@pytest.mark.parametrize("batch", [2, 3, 64])
def test_top1_counts_right_answers(batch: int) -> None:
    chain, val = like_zfnet(size=(3, SIDE, SIDE)), pictures(7)
    guesses = plain(chain)((val.images / 255 - 0.5) / 0.25).argmax(1)
    labels = guesses.clone()
    labels[[1, 4]] = (labels[[1, 4]] + 1) % 5
    assert top1(chain, replace(val, labels=labels), PREPROCESSING, SIDE, batch) == pytest.approx(5 / 7)
    assert top1(chain, replace(val, labels=guesses), PREPROCESSING, SIDE, batch) == 1
    assert math.isclose(top1(chain, replace(val, labels=(guesses + 1) % 5), PREPROCESSING, SIDE, batch), 0)


def test_top1_at_a_smaller_side() -> None:
    class Brightest(torch.nn.Module):
        """Class 1 where the right half is the brighter one; says at which size it looked."""

        def __init__(self) -> None:
            super().__init__()
            self.scale = torch.nn.Parameter(torch.ones(1))
            self.seen: tuple[int, ...] = ()

        def forward(self, x: Tensor) -> Tensor:
            self.seen = tuple(x.shape[2:])
            half = x.shape[3] // 2
            return torch.stack([x[..., :half].mean((1, 2, 3)), x[..., half:].mean((1, 2, 3))], 1) * self.scale

    images = torch.zeros(4, 3, SIDE, SIDE, dtype=torch.uint8)
    images[1::2, ..., SIDE // 2 :] = 200
    images[::2, ..., : SIDE // 2] = 200
    net = Brightest()
    assert top1(net, Pictures(images, torch.tensor([0, 1, 0, 0]), (), ()), PREPROCESSING, 20) == 0.75
    assert net.seen == (20, 20)
