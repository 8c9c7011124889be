"""Pictures on disk: which there are in folders and tar shards."""

import errno
import hashlib
import os
import posixpath
import stat
import tarfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path, PurePosixPath

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"}
LINKS = 40  # from link to link, as the kernel goes
NONBLOCK = getattr(os, "O_NONBLOCK", 0)  # Windows has none
# What makes a file unreadable for good; another OSError is the file system's, and may pass.
UNREADABLE = {
    errno.ENOENT, errno.EACCES, errno.EPERM, errno.EINVAL, errno.EISDIR, errno.ENOTDIR, errno.ELOOP, errno.ENXIO,
    errno.ENAMETOOLONG, errno.EBADMSG, getattr(errno, "EUCLEAN", errno.EBADMSG),  # damaged on the disk; Linux's alone
}  # fmt: skip
NOTHING_THERE = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}
PAUSES_S = (0.1, 1.0, 5.0)  # before a file is read again
PATIENCE = 10  # files that may fail through all of these: a minute


@dataclass(frozen=True)
class PictureFile:
    """A picture's path as it is told, its class's folder ("" in none), and where its bytes lie.

    `size` bytes from `offset` on of `path`, all that follow where it is -1.
    """

    name: str
    folder: str
    path: Path
    offset: int = 0
    size: int = -1

    def read(self) -> bytes:
        """Its bytes. Raises OSError."""
        return read_file(self.path, self.offset, self.size)


class Retrying:
    """Reads files again, over some seconds, where a file system (NFS) fails for a moment.

    Once ten have failed to the end, the others are tried once: where a disk fails, thousands would each take seconds.
    """

    def __init__(self) -> None:
        self._failed = 0

    def read(self, file: PictureFile) -> bytes:
        """A file's bytes. Raises OSError."""
        for pause in PAUSES_S if self._failed < PATIENCE else ():
            try:
                return file.read()
            except OSError as error:
                if error.errno in UNREADABLE:
                    raise
            time.sleep(pause)
        try:
            return file.read()
        except OSError:
            self._failed += 1
            raise


@dataclass(frozen=True)
class Listing:
    """How many pictures a split has, and a digest of their names in order."""

    count: int
    digest: str


def read_file(path: Path, offset: int = 0, size: int = -1) -> bytes:
    """`size` bytes from `offset` on, all where it is -1. Raises OSError, also for a pipe, which would be waited for."""
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | NONBLOCK)) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "it is no regular file")
        file.seek(offset)
        return file.read(size)


def pictures_under(paths: list[Path]) -> Iterator[tuple[Path, Path]]:
    """(picture, its path below the argument it came from), folders searched to the bottom.

    Raises FileNotFoundError for a path that is not there, ValueError for a folder that cannot be listed.
    """
    for path in paths:
        if is_folder(path):
            yield from ((found, found.relative_to(path)) for found in _below(path, ()))
        elif path.exists():
            yield path, Path(path.name)
        else:
            raise FileNotFoundError(f"{path} is neither a picture nor a folder")


def split_files(data: Path, split: str) -> Iterator[PictureFile]:
    """`data/split/CLASS/*`, then what `data/*.tar` hold of such paths.

    Folders by name, a tar in its own order; in memory are the names of one folder, and of all where there are tars.
    Raises ValueError for a folder that cannot be listed, a tar that cannot be read and a picture that comes twice.
    """
    if shards := _shards(data):
        yield from _once(chain(_in_folders(data, split), *(_in_shard(shard, split) for shard in shards)))
    else:
        yield from _in_folders(data, split)


def class_folders(data: Path, split: str) -> list[Path]:
    """`data/split/CLASS`, by name, whatever is in them; none where the split is no folder.

    Raises ValueError for one that is a link to nothing: what it should lead to is missing.
    """
    found = _visible(data / split) if is_folder(data / split) else []
    if broken := [path for path in found if path.is_symlink() and not path.exists()]:
        raise ValueError(f"{broken[0]} is a link to nothing: make what it leads to readable, or delete it")
    return [path for path in found if is_folder(path)]


def picture_files(data: Path, split: str) -> Iterator[PictureFile]:
    """The split's files; in a folder that has neither the split nor tars, every picture below it."""
    if searched_folder(data, split) != data:
        yield from split_files(data, split)
        return
    for path in _below(data, ()):
        inside = path.relative_to(data)
        yield PictureFile(inside.as_posix(), inside.parent.name, path)


def searched_folder(data: Path, split: str) -> Path:
    """The folder that `picture_files` lists, which another file in it may change."""
    return data / split if is_folder(data / split) or _shards(data) else data


def listing(data: Path, split: str) -> Listing:
    """Count the pictures and digest their names. Raises ValueError where there is none."""
    digest, count = hashlib.sha256(), 0
    for file in picture_files(data, split):
        digest.update(f"{file.name}\n".encode(errors="surrogateescape"))
        count += 1
    if not count:
        raise ValueError(f"no pictures under {data}: neither {split}/CLASS/*, nor tars of such, nor anything below it")
    return Listing(count, digest.hexdigest())


def _visible(folder: Path) -> list[Path]:
    """What systems and editors hide begins with a dot: `._x.jpg`, `.ipynb_checkpoints`."""
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError as error:
        raise ValueError(f"the folder {folder} cannot be listed: {error.strerror}") from error


def is_folder(path: Path) -> bool:
    """Raises ValueError where what lies there may not be seen."""
    try:
        return stat.S_ISDIR(path.stat().st_mode)  # from Python 3.14 on is_dir() says False to whatever fails
    except OSError as error:
        if error.errno in NOTHING_THERE:
            return False
        raise ValueError(f"{path} cannot be looked at: {error.strerror}") from error


def _is_picture(path: Path | PurePosixPath) -> bool:
    """Whether it is called as a picture is; a folder, a pipe or a link to nothing is told when it is read."""
    return path.suffix.lower() in SUFFIXES


def _below(folder: Path, above: tuple[Path, ...]) -> Iterator[Path]:
    """The pictures in a folder, then those in the folders in it, links followed but for those to a folder above."""
    here = folder.resolve()
    if here in above:
        return
    visible = _visible(folder)
    yield from filter(_is_picture, visible)
    for inner in visible:
        if not _is_picture(inner) and is_folder(inner):
            yield from _below(inner, (*above, here))


def _in_folders(data: Path, split: str) -> Iterator[PictureFile]:
    for folder in class_folders(data, split):
        for path in filter(_is_picture, _visible(folder)):
            yield PictureFile(f"{split}/{folder.name}/{path.name}", folder.name, path)


def _once(files: Iterable[PictureFile]) -> Iterator[PictureFile]:
    """The same files. Raises ValueError where two have one name, as in a tar and beside it, unpacked."""
    sources: dict[str, Path] = {}
    for file in files:
        if file.name in sources:
            one, other = sources[file.name], file.path
            where = f"in {one} and {other}" if one != other else f"under different folders of {one}"
            raise ValueError(f"{file.name} is there twice, {where}: remove or rename one, or it counts as two pictures")
        sources[file.name] = file.path
        yield file


def _shards(data: Path) -> list[Path]:
    return [path for path in _visible(data) if path.suffix == ".tar"]


def _in_shard(shard: Path, split: str) -> Iterator[PictureFile]:
    members = _members(shard)
    for name in members:
        path = PurePosixPath(name)
        if _in_split(path, split):
            file = _followed(name, members)
            offset, size = (file.offset_data, file.size) if file else (0, 0)
            yield PictureFile("/".join(path.parts[-3:]), path.parent.name, shard, offset, size)


def _in_split(path: PurePosixPath, split: str) -> bool:
    """Whether a member lies in a class's folder of the split and is called as a picture is, and nothing is hidden."""
    hidden = any(part.startswith(".") and part != ".." for part in path.parts)
    return not hidden and path.parts[-3:-2] == (split,) and _is_picture(path)


def _members(shard: Path) -> dict[str, tarfile.TarInfo]:
    """What a tar holds, by plain names, in its order. Raises ValueError where it is compressed, cut off or none."""
    try:
        # Not compressed: pictures are read where they lie.
        with shard.open("rb") as file, tarfile.open(fileobj=file, mode="r:") as archive:
            members = {_plain(member.name): member for member in archive}
            file.seek(archive.offset)
            if file.read(tarfile.BLOCKSIZE) != tarfile.NUL * tarfile.BLOCKSIZE:
                raise tarfile.ReadError("its end is missing")
    except (tarfile.TarError, OSError) as error:
        raise ValueError(f"{shard} is no tar that can be read, whole and not compressed: {error}") from error
    return members


def _followed(name: str, members: dict[str, tarfile.TarInfo]) -> tarfile.TarInfo | None:
    """The file of that name in a tar, links followed; None for a link to nothing in it."""
    for _ in range(LINKS):
        member = members.get(name)
        if member is None or member.isfile():
            return member
        name = _plain(posixpath.join(posixpath.dirname(name), member.linkname) if member.issym() else member.linkname)
    return None


def _plain(name: str) -> str:
    """A member's name without `./` and the like."""
    return posixpath.normpath(name)
