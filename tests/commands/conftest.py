"""Pictures to explain, where a test has none of its own."""

from pathlib import Path

import pytest

from ..samples import encoded, noise


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two pictures."""
    (tmp_path / "pictures").mkdir()
    for name in ("a.png", "b.png"):
        (tmp_path / "pictures" / name).write_bytes(encoded(noise(20, 20)))
    return tmp_path / "pictures"
