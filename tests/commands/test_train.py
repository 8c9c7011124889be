"""What `train` is asked for -> the recipe that it trains by: each option, and the recipes of docs/training.md."""

from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from zfnet_explainer.commands.main import app
from zfnet_explainer.training.recipe import FAST, Augmentation, Initialisation, Phase, Precision, Recipe

ALL_FAST = {
    "phases": (Phase(128, 14, (0.25, 1.0)), Phase(176, 3, (0.25, 1.0)), Phase(224, 3, (0.25, 1.0))),
    "batch": 64, "learning_rate": 0.02, "warm_up": 1, "momentum": 0.9, "nesterov": True, "weight_decay": 5e-4,
    "augmentation": "plain", "mixing": 0, "averaging": 0, "class_balance": 0, "hold_back": 0,
    "batch_norm": True, "norm_epochs": 3, "filter_radius": 0, "scale_inputs": True,
    "initialisation": "he", "first_deviation": 1e-2, "last_layer_rate": 0.1, "dropout": 0.4, "label_smoothing": 0.1,
    "precision": "bfloat16", "seed": 0, "ranks": {"fc6": 128, "fc7": 80},
}  # fmt: skip
ALL_LONG = {
    **ALL_FAST,
    "phases": (Phase(128, 60, (0.25, 1.0)), Phase(176, 12, (0.35, 1.0)), Phase(224, 12, (0.6, 1.0))),
    "augmentation": "strong", "mixing": 0.5, "averaging": 0.998, "class_balance": 1.5, "first_deviation": 3e-3,
}  # fmt: skip
ALL_PAPER = {
    **ALL_FAST,
    "phases": (Phase(224, 70, (0.77, 1.0)),),
    "batch": 128, "learning_rate": 0.01, "warm_up": 0, "nesterov": False, "batch_norm": False, "norm_epochs": None,
    "filter_radius": 0.1, "scale_inputs": False, "initialisation": "paper", "last_layer_rate": 1,
    "dropout": 0.5, "label_smoothing": 0, "ranks": {},
}  # fmt: skip
FIXED = {"momentum", "nesterov", "weight_decay", "label_smoothing", "first_deviation", "last_layer_rate", "ranks"}

Asked = Callable[..., Recipe]


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Asked:
    """The recipe that a command trains by, on a processor with bfloat16."""
    seen: list[Recipe] = []

    def run(_: Path, out: Path, recipe: Recipe, *__: object) -> Path:
        seen.append(recipe)
        return out / "zfnet.safetensors"

    monkeypatch.setattr("zfnet_explainer.training.run.run", run)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True})

    def ask(*options: str) -> Recipe:
        result = CliRunner().invoke(app, ["train", "data", "--out", str(tmp_path), "--device", "cpu", *options])
        assert result.exit_code == 0, result.output
        return seen.pop()

    return ask


@pytest.mark.parametrize(
    ("name", "licence", "message"),
    [
        ("run", "", "the licence is one line of text that is not blank, not ''"),
        ("run", "two\nlines", r"the licence is one line of text that is not blank, not 'two\nlines'"),
        ("run", "CC\udcff", r"the licence is one line of text that is not blank, not 'CC\udcff'"),
        ("run\udcff", "CC0-1.0", r"run\udcff/zfnet.safetensors: safetensors reads weights by names in UTF-8 alone"),
    ],
)
def test_what_weights_could_not_be_stored_with_is_refused_before_any_work(
    tmp_path: Path, name: str, licence: str, message: str
) -> None:
    arguments = ["train", str(tmp_path / "nowhere"), "--out", str(tmp_path / name), "--licence", licence]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert not (tmp_path / name).exists()


@pytest.mark.parametrize(
    ("options", "expected"),
    [((), ALL_LONG), (("--recipe", "fast"), ALL_FAST), (("--recipe", "paper"), ALL_PAPER)],
    ids=["long, the default", "fast", "paper"],
)
def test_a_recipe_is_as_documented(asked: Asked, options: tuple[str, ...], expected: dict[str, object]) -> None:
    found = asked(*options)
    assert {field.name: getattr(found, field.name) for field in fields(Recipe)} == expected


def test_every_option_reaches_the_recipe(asked: Asked) -> None:
    found = asked(
        "--recipe", "fast",
        "--phases", "96:2:0.3-0.8,224:1", "--norm-epochs", "2", "--batch", "48",
        "--learning-rate", "0.03", "--warm-up", "0.5", "--dropout", "0.2", "--augmentation", "strong",
        "--mixing", "0.6", "--averaging", "0.9", "--class-balance", "0.75", "--hold-back", "0.15",
        "--no-batch-norm", "--filter-radius", "0.25", "--no-scale-inputs", "--initialisation", "lecun",
        "--precision", "float32", "--seed", "7",
    )  # fmt: skip
    assert found == replace(
        FAST,
        phases=(Phase(96, 2, (0.3, 0.8)), Phase(224, 1, (0.25, 1.0))), norm_epochs=2, batch=48,
        learning_rate=0.03, warm_up=0.5, dropout=0.2, augmentation=Augmentation.STRONG,
        mixing=0.6, averaging=0.9, class_balance=0.75, hold_back=0.15,
        batch_norm=False, filter_radius=0.25, scale_inputs=False, initialisation=Initialisation.LECUN,
        precision=Precision.FLOAT32, seed=7,
    )  # fmt: skip
    as_before = {field.name for field in fields(Recipe) if getattr(found, field.name) == getattr(FAST, field.name)}
    assert as_before == FIXED, "only what no option is about"
