"""Files that are whole or not there, and who may read them."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from zfnet_explainer.atomic import whole, write_whole


@pytest.fixture(params=[0o022, 0o002, 0o077], ids=oct)
def permitted(request: pytest.FixtureRequest) -> Iterator[int]:
    """What a mask leaves of a new file's permissions."""
    before = os.umask(request.param)
    yield 0o666 & ~request.param
    os.umask(before)


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "new" / "file"
    write_whole(target, b"old")

    def fail() -> None:
        with whole(target) as staged:
            staged.write_bytes(b"half")
            assert target.read_bytes() == b"old"
            raise OSError("the disk is full")

    with pytest.raises(OSError, match="the disk is full"):
        fail()
    assert target.read_bytes() == b"old"
    write_whole(target, b"new")
    assert (target.read_bytes(), os.listdir(target.parent)) == (b"new", ["file"])


def test_a_folder_without_room_is_told_by_the_files_own_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, *_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr(Path, "touch", full)
    with pytest.raises(OSError, match=r"No space left on device: .*/record.json"):
        write_whole(tmp_path / "record.json", b"x")


def test_what_appears_is_on_the_disk_already(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a machine that loses its power then has an empty file of that name."""
    target, flushed = tmp_path / "file", []

    def fsync(descriptor: int) -> None:
        flushed.append((os.pread(descriptor, 99, 0), target.exists()))

    monkeypatch.setattr(os, "fsync", fsync)
    write_whole(target, b"content")
    assert flushed == [(b"content", False)]
    assert target.read_bytes() == b"content"


def test_it_has_the_permissions_of_any_new_file(tmp_path: Path, permitted: int) -> None:
    target = tmp_path / "file"
    for _ in range(2):
        write_whole(target, b"content")
        assert target.stat().st_mode & 0o777 == permitted


def test_it_has_them_where_the_writer_took_a_private_file(tmp_path: Path, permitted: int) -> None:
    with whole(tmp_path / "tensors") as staged:
        save_file({"a": torch.zeros(1)}, staged)
    assert (tmp_path / "tensors").stat().st_mode & 0o777 == permitted
