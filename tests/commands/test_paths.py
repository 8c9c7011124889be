"""Folders are tried before the work, and left as they were found."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import typer

from zfnet_explainer.commands.paths import writable

LONG = "x" * 300


@pytest.mark.parametrize("inside", ["", "new", "new/deep/er"])
def test_a_folder_that_can_be_written_to_is_as_it_was(tmp_path: Path, inside: str) -> None:
    (tmp_path / "kept").touch()
    writable(tmp_path / inside)
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


def test_many_may_ask_at_the_same_time(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(writable, [tmp_path / "new" / "out"] * 200))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("inside", [LONG, f"new/{LONG}", "file", "file/new", "nowhere", "nowhere/new"])
def test_what_cannot_be_a_folder_is_told_and_nothing_is_made(tmp_path: Path, inside: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "nowhere").symlink_to(tmp_path / "gone")
    with pytest.raises(typer.BadParameter, match="no files can be made in it"):
        writable(tmp_path / inside)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "nowhere"]


def test_a_parent_that_may_not_be_searched_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As who is no superuser meets it."""
    lstat = Path.lstat

    def searched(path: Path) -> os.stat_result:
        if tmp_path / "locked" in path.parents:
            raise PermissionError(13, "Permission denied", str(path))
        return lstat(path)

    (tmp_path / "locked").mkdir()
    monkeypatch.setattr(Path, "lstat", searched)
    with pytest.raises(typer.BadParameter, match="Permission denied"):
        writable(tmp_path / "locked" / "out")
