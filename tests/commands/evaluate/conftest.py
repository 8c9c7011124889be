"""Weights of a tiny net, and pictures for it."""

from pathlib import Path

import pytest
from PIL import Image

from zfnet_explainer.net import checkpoint
from zfnet_explainer.net.checkpoint import save

from ...chains import seeded
from ...samples import noise
from .evaluating import RECORD, SIDE, tiny


@pytest.fixture(autouse=True)
def _tiny_architecture(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(checkpoint.ARCHITECTURES, "tiny", tiny)
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "net.safetensors"
    save(seeded(tiny(3), 0), RECORD, path)
    return path


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six pictures of two of the three classes."""
    folder = tmp_path_factory.mktemp("data")
    for i in range(6):
        file = folder / "val" / f"n0{1 + i % 2}" / f"{i}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(noise(SIDE, SIDE, seed=i)).save(file)
    return folder
