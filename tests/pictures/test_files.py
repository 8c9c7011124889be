"""Which pictures are found in folders and tars, in which order."""

import errno
import gzip
import os
import shutil
import socket
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image

from zfnet_explainer.pictures.files import (
    listing,
    picture_files,
    pictures_under,
    read_file,
    searched_folder,
    split_files,
)

from ..samples import noise

NAMES = ["val/n1/b.png", "val/n1/c.JPG", "val/n2/a.png"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three pictures in val, one in train, and things that are none."""
    for i, name in enumerate([*NAMES, "train/n1/a.png", "val/stray.png"]):
        file = tmp_path / "data" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(noise(20, 30, seed=i)).save(file)
    (tmp_path / "data/val/n1/a.txt").write_text("no picture")
    for hidden in ("val/n1/._b.png", "val/.ipynb_checkpoints/b.png", "val/n1/.DS_Store", "val/n1/Thumbs.db", "._x.tar"):
        file = tmp_path / "data" / hidden
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(b"a system's")
    return tmp_path / "data"


def packed(folder: Path, out: Path) -> Path:
    """The folder's files in two tars, under a folder of their own, in the order of their names."""
    out.mkdir()
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    for number, part in enumerate((files[:3], files[3:])):
        with tarfile.open(out / f"shard-{number}.tar", "w") as archive:
            for path in part:
                archive.add(path, f"some/where/{path.relative_to(folder)}")
    return out


def test_a_split_in_order_of_class_and_name(folder: Path) -> None:
    found = list(picture_files(folder, "val"))
    assert [file.name for file in found] == NAMES
    assert [file.folder for file in found] == ["n1", "n1", "n2"]
    assert [file.read() for file in found] == [(folder / name).read_bytes() for name in NAMES]


def test_a_split_in_tars_is_the_split_in_a_folder(folder: Path, tmp_path: Path) -> None:
    shards = packed(folder, tmp_path / "shards")
    ours, theirs = (list(picture_files(data, "val")) for data in (shards, folder))
    assert [(f.name, f.folder, f.read()) for f in ours] == [(f.name, f.folder, f.read()) for f in theirs]
    assert listing(shards, "val") == listing(folder, "val")


def test_a_folder_without_splits_has_all_its_pictures(folder: Path) -> None:
    flat = folder / "val"
    assert [(f.name, f.folder) for f in picture_files(flat, "val")] == [
        ("stray.png", ""), ("n1/b.png", "n1"), ("n1/c.JPG", "n1"), ("n2/a.png", "n2")
    ]  # fmt: skip


def test_the_folder_that_is_searched(folder: Path, tmp_path: Path) -> None:
    assert searched_folder(folder, "val") == folder / "val"
    assert searched_folder(folder / "val", "val") == folder / "val"
    shards = packed(folder, tmp_path / "shards")
    assert searched_folder(shards, "val") == shards / "val", "which another file would become a part of"


def test_a_listing_changes_with_every_name(folder: Path) -> None:
    before = listing(folder, "val")
    assert before.count == 3
    (folder / "val/n1/b.png").rename(folder / "val/n1/d.png")
    after = listing(folder, "val")
    assert after.count == 3
    assert after.digest != before.digest


def test_a_folder_without_pictures_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"no pictures under {tmp_path}: neither val/CLASS"):
        listing(tmp_path, "val")


@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("prefix", ["", "./", "some/where/", "./" + "long/" * 30])
def test_a_shard_however_it_was_made(folder: Path, tmp_path: Path, format: int, prefix: str) -> None:
    """With directories, hidden files, names that do not fit a header, and where the format has them pax headers."""
    (tmp_path / "shards").mkdir()
    with tarfile.open(tmp_path / "shards/x.tar", "w", format=format) as archive:
        for path in sorted(folder.rglob("*")):
            archive.add(path, f"{prefix}{path.relative_to(folder)}", recursive=False)
    expected = [(f.name, f.folder, f.read()) for f in split_files(folder, "val")]
    assert [(f.name, f.folder, f.read()) for f in split_files(tmp_path / "shards", "val")] == expected


def test_links_in_a_shard_are_followed(folder: Path, tmp_path: Path) -> None:
    original = folder / NAMES[0]
    (folder / "val/n1/soft.png").symlink_to("../n1/b.png")
    (folder / "val/n2/softer.png").symlink_to("../n1/soft.png")
    (folder / "val/n2/hard.png").hardlink_to(original)
    (folder / "val/n2/loop.png").symlink_to("loop.png")
    (folder / "val/n2/nothing.png").symlink_to("../nowhere.png")
    (tmp_path / "shards").mkdir()
    with tarfile.open(tmp_path / "shards/x.tar", "w") as archive:
        archive.add(folder, ".")
    found = {file.name: file.read() for file in split_files(tmp_path / "shards", "val")}
    assert found.keys() == {
        *NAMES,
        *(f"val/{n}.png" for n in ("n1/soft", "n2/softer", "n2/hard", "n2/loop", "n2/nothing")),
    }
    for name in ("val/n1/soft.png", "val/n2/softer.png", "val/n2/hard.png"):
        assert found[name] == original.read_bytes(), name
    assert found["val/n2/loop.png"] == found["val/n2/nothing.png"] == b""


@pytest.mark.parametrize(
    "damage",
    [gzip.compress, *(lambda tar, end=end: tar[:end] for end in (0, 1100, 2048)), lambda _: b"x" * 2000],
    ids=["compressed", "empty", "in a header", "between", "no tar"],
)
def test_a_shard_that_cannot_be_read_is_named(folder: Path, tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    shard = packed(folder, tmp_path / "shards") / "shard-0.tar"
    shard.write_bytes(damage(shard.read_bytes()))
    with pytest.raises(ValueError, match=r"shard-0\.tar is no tar that can be read, whole and not compressed"):
        list(split_files(tmp_path / "shards", "val"))


@pytest.mark.parametrize("other", ["folder", "shard", "same shard"])
def test_a_picture_that_comes_twice_is_refused(folder: Path, other: str) -> None:
    """It would count as two, and be trained on and held back."""
    shard = folder / "a.tar"
    with tarfile.open(shard, "w") as archive:
        archive.add(folder / NAMES[1], NAMES[1])
        if other == "same shard":
            archive.add(folder / NAMES[1], f"again/{NAMES[1]}")
    first = folder / NAMES[1] if other == "folder" else shard
    second = folder / "b.tar" if other == "shard" else shard
    if other == "shard":
        shutil.copyfile(shard, second)
    if other != "folder":
        (folder / NAMES[1]).unlink()
    where = f"under different folders of {shard}" if other == "same shard" else f"in {first} and {second}"
    with pytest.raises(ValueError, match=f"^{NAMES[1]} is there twice, {where}: remove or rename one"):
        list(split_files(folder, "val"))
    assert len(list(split_files(folder, "train"))) == 1, "the other split"


def test_links_of_a_folder_are_followed_and_not_around(folder: Path, tmp_path: Path) -> None:
    (folder / "val/n4").symlink_to(folder / "train/n1")
    (folder / "val/n1/link.png").symlink_to(folder / "train/n1/a.png")
    (folder / "val/n1/back").symlink_to(folder)
    (folder / "val/n1/nothing.png").symlink_to("nowhere")
    (folder / "val/n1/z.png").mkdir()
    in_val = ["val/n1/b.png", "val/n1/c.JPG", "val/n1/link.png", "val/n1/nothing.png", "val/n1/z.png", "val/n2/a.png"]
    assert [file.name for file in split_files(folder, "val")] == [*in_val, "val/n4/a.png"]
    (tmp_path / "other").symlink_to(folder)
    found = [relative.as_posix() for _, relative in pictures_under([tmp_path / "other"])]
    assert found == ["train/n1/a.png", "val/stray.png", *in_val, "val/n4/a.png"]


@pytest.fixture
def forbidden(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """The operating system lists a folder no more; who runs this may be root, to whom nothing is forbidden."""
    listed = Path.iterdir

    def forbid(folder: Path) -> None:
        def iterdir(path: Path) -> Iterator[Path]:
            if path == folder:
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
            return listed(path)

        monkeypatch.setattr(Path, "iterdir", iterdir)

    return forbid


def test_a_folder_that_cannot_be_listed_is_named(folder: Path, forbidden: Callable[[Path], None]) -> None:
    forbidden(folder / "val" / "n1")
    message = f"the folder {folder}/val/n1 cannot be listed: Permission denied"
    for find in (
        lambda: list(split_files(folder, "val")),
        lambda: list(pictures_under([folder])),
        lambda: listing(folder / "val", "val"),
    ):
        with pytest.raises(ValueError, match=message):
            find()


def test_what_may_not_be_looked_at_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Path.stat

    def unseen(path: Path, *, follow_symlinks: bool = True) -> os.stat_result:
        if path.name == "val":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return whole(path, follow_symlinks=follow_symlinks)

    monkeypatch.setattr(Path, "stat", unseen)
    with pytest.raises(ValueError, match=f"{folder}/val cannot be looked at: Permission denied"):
        list(split_files(folder, "val"))


def test_a_class_folder_that_leads_nowhere_is_named(folder: Path) -> None:
    """A disk that is not mounted, or a link to itself."""
    link = folder / "val" / "n3"
    for target in ("/nowhere/n3", "n3"):
        link.symlink_to(target)
        with pytest.raises(ValueError, match="val/n3 is a link to nothing"):
            list(split_files(folder, "val"))
        link.unlink()


def test_a_folder_that_leads_to_itself_has_no_pictures(tmp_path: Path) -> None:
    loop = tmp_path / "loop"
    loop.symlink_to("loop")
    with pytest.raises(FileNotFoundError, match="loop is neither a picture nor a folder"):
        list(pictures_under([loop]))
    with pytest.raises(ValueError, match=f"the folder {loop} cannot be listed: Too many levels of symbolic links"):
        listing(loop, "val")


def test_a_pipe_and_a_socket_are_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(OSError, match="it is no regular file"):
        read_file(tmp_path / "pipe.jpg")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket.jpg"))
        with pytest.raises(OSError, match="No such device or address"):
            read_file(tmp_path / "socket.jpg")
    (tmp_path / "file").write_bytes(b"0123456789")
    (tmp_path / "link").symlink_to("file")
    assert (read_file(tmp_path / "link"), read_file(tmp_path / "file", 2, 3)) == (b"0123456789", b"234")


def test_a_picture_that_is_asked_for_by_name_may_be_called_anything(folder: Path) -> None:
    hidden = folder / "val/n1/._b.png"
    assert list(pictures_under([hidden])) == [(hidden, Path("._b.png"))]
    with pytest.raises(FileNotFoundError, match="nowhere is neither a picture nor a folder"):
        list(pictures_under([folder / "nowhere"]))
