"""A training run of seconds: killed, resumed, refused."""

import csv
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from zfnet_explainer.net.checkpoint import Preprocessing
from zfnet_explainer.net.norm import CrossMapNorm
from zfnet_explainer.training.data import Pictures
from zfnet_explainer.training.evaluate import top1
from zfnet_explainer.training.loop import Trainer
from zfnet_explainer.training.recipe import Phase, Recipe

from ..chains import like_zfnet, plain

SIDE = 37
PREPROCESSING = Preprocessing(SIDE, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
RECIPE = Recipe(
    (Phase(29, 1, cross_map_norm=False), Phase(SIDE, 2, cross_map_norm=True)),
    batch=4,
    learning_rate=0.05,
    dropout=0.5,
    seed=3,
    ranks={"fc1": 6},
)
pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded, use of fork:DeprecationWarning")


class Killed(Trainer):
    """Dies at the end of its first epoch."""

    def _log(self, row: dict[str, float]) -> None:
        super()._log(row)
        raise KeyboardInterrupt


def pictures(count: int) -> Pictures:
    """Five classes of one colour each, and noise."""
    generator = torch.Generator().manual_seed(count)
    labels = torch.arange(count) % 5
    noise = torch.randint(0, 120, (count, 3, SIDE, SIDE), generator=generator)
    images = noise + torch.tensor([0, 60, 120])[torch.stack([labels % 3, labels // 3, labels % 2], 1)][..., None, None]
    return Pictures(images.to(torch.uint8), labels, tuple(map(str, range(count))), tuple("abcde"))


def trainer(out: Path, recipe: Recipe = RECIPE, kind: type[Trainer] = Trainer) -> Trainer:
    chain = like_zfnet(size=(3, SIDE, SIDE)).requires_grad_()
    return kind(chain, recipe, pictures(10), pictures(7), PREPROCESSING, out, torch.device("cpu"))


def log(out: Path) -> list[dict[str, str]]:
    with (out / "log.csv").open() as file:
        return list(csv.DictReader(file))


def without_speed(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    return [{key: value for key, value in row.items() if key != "images_per_s"} for row in rows]


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
    assert sorted(p.name for p in whole.iterdir()) == ["log.csv", "state.safetensors"]


def test_a_run_changes_every_weight(whole: Path, tmp_path: Path) -> None:
    start = trainer(tmp_path).net.state_dict()
    state = load_file(whole / "state.safetensors")
    for name, value in start.items():
        if not name.endswith("num_batches_tracked"):
            assert not torch.equal(state[f"net.{name}"], value), name


def test_a_killed_run_goes_on_to_the_same_end(whole: Path, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        trainer(tmp_path, kind=Killed).run()
    assert len(log(tmp_path)) == 1
    resumed = trainer(tmp_path)
    assert resumed.epoch == 1
    resumed.run()
    expected, found = load_file(whole / "state.safetensors"), load_file(tmp_path / "state.safetensors")
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert torch.equal(found[name], value), name
    assert without_speed(log(tmp_path)) == without_speed(log(whole))


def test_a_finished_run_stays_finished(whole: Path) -> None:
    before = (whole / "state.safetensors").read_bytes()
    trainer(whole).run()
    assert len(log(whole)) == 3
    assert (whole / "state.safetensors").read_bytes() == before


@pytest.mark.parametrize(
    "recipe",
    [
        replace(RECIPE, seed=4),
        replace(RECIPE, phases=RECIPE.phases[:1]),
        replace(RECIPE, ranks={"fc1": 5}),
    ],
    ids=["seed", "phases", "ranks"],
)
def test_the_folder_of_another_recipe_is_refused(whole: Path, recipe: Recipe) -> None:
    with pytest.raises(ValueError, match="holds the run of another recipe"):
        trainer(whole, recipe)


def test_the_rate_warms_up_and_ends_at_zero(tmp_path: Path) -> None:
    run = trainer(tmp_path)
    rates = {}
    for epoch in (0.0, 0.5, 1.0, 2.0, 3.0):
        run._set_rate(epoch)
        rates[epoch] = [group["lr"] for group in run.optimiser.param_groups]
    expected = {0.0: 0.0, 0.5: 0.025, 1.0: 0.05, 2.0: 0.025, 3.0: 0.0}
    for epoch, rate in expected.items():
        assert rates[epoch] == pytest.approx([rate, rate, rate / 10], abs=1e-12), epoch


def test_each_parameter_is_in_one_group(tmp_path: Path) -> None:
    run = trainer(tmp_path)
    decayed, plain_ones, last = (group["params"] for group in run.optimiser.param_groups)
    names = {id(p): name for name, p in run.net.named_parameters()}
    assert sorted(names[id(p)] for p in [*decayed, *plain_ones, *last]) == sorted(names.values())
    assert {names[id(p)] for p in last} == {"fc2.weight", "fc2.bias"}
    assert all(p.ndim > 1 for p in decayed)
    assert all(p.ndim == 1 for p in plain_ones)
    assert [group["weight_decay"] for group in run.optimiser.param_groups] == [5e-4, 0, 5e-4]


def test_normalisation_is_on_in_the_phases_that_want_it(tmp_path: Path) -> None:
    run = trainer(tmp_path)
    names = list(run.net._modules)
    for on in (False, True, False):
        run._set_norms(on)
        assert isinstance(run.net.get_submodule("norm1"), CrossMapNorm) == on
        assert list(run.net._modules) == names, "in its place"


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
