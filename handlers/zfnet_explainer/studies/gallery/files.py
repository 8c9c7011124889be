"""The pictures of a folder as a stream: found in one order, read when they are wanted, never all in memory."""

import hashlib
import random
import tarfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from ...errors import RequestError
from ...explanation import Pixels
from ...pictures.decode import decode
from ...pictures.files import SUFFIXES


@dataclass(frozen=True)
class PictureFile:
    """One picture: its path below the data folder, its class's folder ("" in none), and where its bytes lie."""

    name: str
    label: str
    path: Path
    offset: int = 0
    size: int = -1

    def read(self) -> bytes:
        with self.path.open("rb") as file:
            file.seek(self.offset)
            return file.read(self.size)


@dataclass(frozen=True)
class Decoded:
    """A picture uint8 [size, size, 3], its file and the file's number in the stream."""

    number: int
    file: PictureFile
    pixels: Pixels


@dataclass(frozen=True)
class Listing:
    """How many pictures a folder has, and a digest of their names in order."""

    count: int
    digest: str


def picture_files(data: Path, split: str) -> Iterator[PictureFile]:
    """`data/split/CLASS/*`, then what `data/*.tar` hold of such paths; without either, every picture below `data`.

    In order of folder and name. In memory are the names of one folder, and of one tar.
    """
    if not _has_split(data, split):
        yield from _below(data, data)
        return
    for folder in sorted(p for p in (data / split).glob("*") if p.is_dir()):
        for path in _pictures(folder):
            yield PictureFile(f"{split}/{folder.name}/{path.name}", folder.name, path)
    for shard in sorted(data.glob("*.tar")):
        yield from _in_shard(shard, split)


def searched_folder(data: Path, split: str) -> Path:
    """The folder that `picture_files` lists, which another file in it may change."""
    return data / split if _has_split(data, split) else data


def listing(data: Path, split: str) -> Listing:
    """Count the pictures and digest their names. Raises ValueError where there is none."""
    digest, count = hashlib.sha256(), 0
    for file in picture_files(data, split):
        digest.update(f"{file.name}\n".encode())
        count += 1
    if not count:
        raise ValueError(f"no pictures under {data}: neither {split}/CLASS/*, nor tars of such, nor anything below it")
    return Listing(count, digest.hexdigest())


def decoded_batches(
    files: Iterable[tuple[int, PictureFile]], size: int, batch: int, unreadable: Callable[[PictureFile, str], None]
) -> Iterator[tuple[int, list[Decoded]]]:
    """How many files were taken, and the pictures among them, `batch` files at a time.

    A file that is no picture is left out and told to `unreadable` with the reason.
    """

    def attempt(numbered: tuple[int, PictureFile]) -> Decoded | RequestError:
        number, file = numbered
        try:
            return Decoded(number, file, decode(file.read(), size).pixels)
        except RequestError as error:
            return error

    stream = iter(files)
    with ThreadPoolExecutor() as pool:
        while taken := list(islice(stream, batch)):
            pictures = []
            for (_, file), found in zip(taken, pool.map(attempt, taken), strict=True):
                if isinstance(found, Decoded):
                    pictures.append(found)
                else:
                    unreadable(file, str(found))
            yield len(taken), pictures


def sampled(data: Path, split: str, found: Listing, count: int, seed: int, size: int) -> list[Decoded]:
    """At most `count` of the pictures, drawn by the seed, in order; those that cannot be decoded are left out."""
    drawn = set(random.Random(seed).sample(range(found.count), min(count, found.count)))  # noqa: S311
    chosen = ((number, file) for number, file in enumerate(picture_files(data, split)) if number in drawn)
    return [picture for _, batch in decoded_batches(chosen, size, 64, lambda *_: None) for picture in batch]


def _has_split(data: Path, split: str) -> bool:
    return (data / split).is_dir() or any(data.glob("*.tar"))


def _below(folder: Path, data: Path) -> Iterator[PictureFile]:
    for path in _pictures(folder):
        inside = path.relative_to(data)
        yield PictureFile(inside.as_posix(), inside.parent.name, path)
    for inner in sorted(p for p in folder.glob("*") if p.is_dir()):
        yield from _below(inner, data)


def _pictures(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and p.is_file())


def _in_shard(shard: Path, split: str) -> Iterator[PictureFile]:
    with tarfile.open(shard, "r:") as archive:  # not compressed: pictures are read where they lie
        for member in archive:
            parts = Path(member.name).parts
            if member.isfile() and len(parts) > 2 and parts[-3] == split and Path(parts[-1]).suffix.lower() in SUFFIXES:
                yield PictureFile("/".join(parts[-3:]), parts[-2], shard, member.offset_data, member.size)
