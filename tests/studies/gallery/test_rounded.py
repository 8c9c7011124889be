"""An atlas on a device that rounds float32."""

from pathlib import Path

import pytest

from ...rounded import TensorFloat32
from .tiny import built, write_pictures, write_weights


def test_an_atlas_of_rounded_values_is_not_built(tmp_path: Path) -> None:
    weights, data = write_weights(tmp_path), write_pictures(tmp_path / "data", 5)
    with TensorFloat32(), pytest.raises(ValueError, match="float32's values, which cpu rounds: build it with"):
        built(weights, data, tmp_path / "atlas")
    assert not (tmp_path / "atlas").exists()
