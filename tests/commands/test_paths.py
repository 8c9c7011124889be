"""Folders are tried before the work, and left as they were found."""

from pathlib import Path

import pytest
import typer

from zfnet_explainer.commands.paths import writable


@pytest.mark.parametrize("inside", ["", "new", "new/deep/er"])
def test_a_folder_that_can_be_written_to_is_as_it_was(tmp_path: Path, inside: str) -> None:
    (tmp_path / "kept").touch()
    writable(tmp_path / inside)
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


def test_a_folder_that_cannot_be_made_leaves_none_of_those_above_it(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    with pytest.raises(typer.BadParameter, match="no files can be made in it"):
        writable(tmp_path / "there" / "new" / ("x" * 300))
    assert list((tmp_path / "there").iterdir()) == []
