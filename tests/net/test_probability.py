"""The one softmax, and the temperature that a record gives it."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.samples import MODEL_STORE
from tests.served import RECORD
from zfnet_explainer.net.checkpoint import load
from zfnet_explainer.net.probability import probabilities
from zfnet_explainer.net.record import BadCheckpoint


@pytest.mark.parametrize(("temperature", "expected"), [(1, 0.8), (2, 2 / 3), (0.5, 16 / 17)])
def test_probabilities_are_of_the_logits_over_the_temperature(temperature: float, expected: float) -> None:
    """Odds of 4 to 1 become their root, or their square."""
    logits = torch.tensor([[[0.0, 0.0], [0.0, 3.0]]], dtype=torch.float64).log1p()
    found = probabilities(logits, temperature)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, torch.tensor([[[0.5, 0.5], [1 - expected, expected]]]))


@pytest.mark.parametrize(
    ("validation", "temperature"),
    [(None, 1), ({"top1": 0.5, "images": 2}, 1), ({"top1": 0.5, "images": 2, "temperature": 0.7}, 0.7)],
)
def test_a_record_without_a_temperature_has_1(validation: dict[str, float] | None, temperature: float) -> None:
    assert replace(RECORD, validation=validation).temperature == temperature


@pytest.mark.parametrize("temperature", [0, -1, "warm", None, float("nan"), float("inf")], ids=str)
def test_a_temperature_that_is_none_is_refused(temperature: object, tmp_path: Path) -> None:
    fields = json.loads((MODEL_STORE / "zfnet.json").read_text())
    fields["validation"]["temperature"] = temperature
    (tmp_path / "net.json").write_text(json.dumps(fields))
    (tmp_path / "net.safetensors").touch()
    with pytest.raises(BadCheckpoint, match=r"net\.json is not a checkpoint's record"):
        load(tmp_path / "net.safetensors")
