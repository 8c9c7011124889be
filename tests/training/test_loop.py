"""A training run of seconds: killed, resumed, started from another, refused."""

import csv
import json
import math
import struct
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from rich.console import Console
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from tensorboardX.proto.event_pb2 import Event
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from zfnet_explainer.net.checkpoint import Preprocessing
from zfnet_explainer.training import loop
from zfnet_explainer.training.data import Pictures
from zfnet_explainer.training.evaluate import top1
from zfnet_explainer.training.loop import Trainer
from zfnet_explainer.training.place import Place
from zfnet_explainer.training.recipe import Phase, Precision, Recipe
from zfnet_explainer.training.state import About, save_state

from ..chains import like_zfnet, plain

SIDE = 37
PREPROCESSING = Preprocessing(SIDE, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
RECIPE = Recipe(
    (Phase(29, 1), Phase(SIDE, 2)),
    batch=4,
    learning_rate=0.05,
    dropout=0.5,
    seed=3,
    norm_epochs=2,
    mixing=0.5,
    averaging=0.9,
    ranks={"fc1": 6},
)
HERE = Place(torch.device("cpu"), Console(quiet=True), loaders=0)


def pictures(count: int) -> Pictures:
    """Five classes of one colour each, and noise."""
    generator = torch.Generator().manual_seed(count)
    labels = torch.arange(count) % 5
    noise = torch.randint(0, 120, (count, 3, SIDE, SIDE), generator=generator)
    images = noise + torch.tensor([0, 60, 120])[torch.stack([labels % 3, labels // 3, labels % 2], 1)][..., None, None]
    return Pictures(images.to(torch.uint8), labels, tuple(map(str, range(count))), tuple("abcde"))


def trainer(
    out: Path, recipe: Recipe = RECIPE, start: Path | None = None, count: int = 10, place: Place = HERE
) -> Trainer:
    chain = like_zfnet(size=(3, SIDE, SIDE)).requires_grad_()
    return Trainer(chain, recipe, pictures(count), pictures(7), PREPROCESSING, out, place, start)


def log(out: Path) -> list[dict[str, str]]:
    with (out / "log.csv").open() as file:
        return list(csv.DictReader(file))


def without_speed(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    return [{key: value for key, value in row.items() if key != "images_per_s"} for row in rows]


def assert_same_state(found: Path, expected: Path) -> None:
    ours, theirs = load_file(found / "state.safetensors"), load_file(expected / "state.safetensors")
    assert ours.keys() == theirs.keys()
    for name, value in theirs.items():
        assert torch.equal(ours[name], value), name
    assert without_speed(log(found)) == without_speed(log(expected))


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


def test_the_average_follows_the_weights_of_every_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Less of the past in the first steps, and none of before the normalisation came in (RECIPE: in epoch 2)."""
    run = trainer(tmp_path, replace(RECIPE, phases=(Phase(SIDE, 3),), averaging=0.3))
    step, seen = run._step, 0
    expected: dict[str, Tensor] = {}

    def followed(images: Tensor, labels: Tensor) -> Tensor:
        nonlocal seen
        found = step(images, labels)
        first = run.epoch == 1 and seen == len(run.train) // RECIPE.batch
        seen = 0 if first else seen
        past = min(0.3, (1 + seen) / (10 + seen)) if seen else 0.0
        for name, value in run.net.state_dict().items():
            expected[name] = past * expected.get(name, torch.zeros(())) + (1 - past) * value.double()
        seen += 1
        return found

    monkeypatch.setattr(run, "_step", followed)
    run.run()
    assert seen == 2 * (len(run.train) // RECIPE.batch)
    for name, value in run.trained().state_dict().items():
        if value.is_floating_point():
            torch.testing.assert_close(value.double(), expected[name], rtol=1e-5, atol=1e-6)


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
        out: Path, net: torch.nn.Module, optimiser: torch.optim.Optimizer, average: AveragedModel | None, about: About
    ) -> None:
        if saved or about["epoch"] == 1:
            save_state(out, net, optimiser, average, about)
        if about["epoch"] == 2:
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
    trainer(tmp_path, place=replace(HERE, loaders=2)).run()
    assert_same_state(tmp_path, whole)


def test_a_finished_run_stays_finished(whole: Path) -> None:
    before = {path: path.read_bytes() for path in whole.rglob("*") if path.is_file()}
    trainer(whole).run()
    assert {path: path.read_bytes() for path in whole.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    "recipe",
    [replace(RECIPE, seed=4), replace(RECIPE, phases=RECIPE.phases[:1]), replace(RECIPE, ranks={"fc1": 5})],
    ids=["seed", "phases", "ranks"],
)
def test_the_folder_of_another_recipe_is_refused(whole: Path, recipe: Recipe) -> None:
    with pytest.raises(ValueError, match="holds the run of another recipe: choose another folder or remove it"):
        trainer(whole, recipe)


def test_other_pictures_are_refused(whole: Path) -> None:
    with pytest.raises(ValueError, match="holds the run of other pictures"):
        trainer(whole, count=11)


def test_a_damaged_state_is_refused(whole: Path, tmp_path: Path) -> None:
    (tmp_path / "state.safetensors").write_bytes((whole / "state.safetensors").read_bytes()[:-100])
    with pytest.raises(ValueError, match=r"state\.safetensors is damaged"):
        trainer(tmp_path)


def test_a_warm_restart_begins_with_the_weights_of_another_run(whole: Path, tmp_path: Path) -> None:
    run = trainer(tmp_path, replace(RECIPE, seed=9), start=whole)
    assert run.epoch == 0
    for name, value in run.net.state_dict().items():
        assert torch.equal(value, load_file(whole / "state.safetensors")[f"average.module.{name}"]), name
    assert not run.optimiser.state, "no momentum yet"
    run.run()
    again = trainer(tmp_path, replace(RECIPE, seed=9), start=whole)
    assert again.epoch == 3
    began = again.about["start"]
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
    began = trainer(tmp_path / "new", start=old).about["start"]
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
    run = trainer(tmp_path, replace(RECIPE, batch_norm=False, precision=Precision.FLOAT32))
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
    run._set_rate(1.5)
    assert [group["lr"] for group in run.optimiser.param_groups] == pytest.approx([0.025, 0.025, 0.0025])


def test_normalisation_is_on_in_the_epochs_that_want_it(tmp_path: Path) -> None:
    run = trainer(tmp_path)
    norm, x = run.net.get_submodule("norm1"), torch.rand(1, 6, 5, 5)
    for on in (False, True, False):
        run._set_norms(on)
        torch.testing.assert_close(norm(x), run.chain.layer("norm1")(x) if on else x)


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
