"""Pictures to explain and a server to ask."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ...deploy.upstream import Upstream, running_upstream
from ...samples import encoded, noise
from .explaining import explained


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Seven pictures, two of a name in different folders."""
    for i, name in enumerate(["a.png", "b.jpg", "c.png", "d.png", "cats/a.png", "cats/deep/x.png", "dogs/y y.png"]):
        path = tmp_path / "pictures" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(noise(60, 70, seed=i), "JPEG" if path.suffix == ".jpg" else "PNG"))
    return tmp_path / "pictures"


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that are waited for from now on, in no time."""
    waited: list[float] = []
    monkeypatch.setattr(time, "sleep", waited.append)
    return waited


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    """A server to ask."""
    with running_upstream() as running:
        running.reply = explained
        yield running


@pytest.fixture
def february(tmp_path: Path) -> Path:
    """Another folder with pictures of names that the first one's subfolder has, and one more."""
    (tmp_path / "february").mkdir()
    for name in ("a.png", "z.png"):
        (tmp_path / "february" / name).write_bytes(encoded(noise(60, 70, seed=9)))
    return tmp_path / "february"
