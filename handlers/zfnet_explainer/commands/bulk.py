"""Many pictures into a folder: which file is whose, which part of them is this run's, and what is left."""

import os
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import typer

from ..pictures.files import UNREADABLE
from .asking import Aborted


@dataclass(frozen=True)
class Shard:
    """One of `count` parts of the pictures; a picture's part depends on its own path alone."""

    index: int
    count: int

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """I/N with I from 0 to N-1. Raises typer.BadParameter."""
        match = re.fullmatch(r"(\d+)/(\d+)", text)
        if not match or int(match[1]) >= int(match[2]):
            raise typer.BadParameter(f"--shard is I/N with I from 0 to N-1, such as 0/4, not {text!r}")
        return cls(int(match[1]), int(match[2]))

    def holds(self, relative: Path) -> bool:
        return zlib.crc32(os.fsencode(relative.as_posix())) % self.count == self.index


@dataclass(frozen=True)
class Task:
    """A picture and the file that its explanation goes to."""

    picture: Path
    target: Path

    @property
    def done(self) -> bool:
        try:
            self.target.stat()
        except OSError as error:
            if error.errno in UNREADABLE:  # one that can be told of when its explanation is written
                return False
            raise Aborted(f"{self.target} cannot be looked at now: {error.strerror}") from error
        return True


def planned(pictures: list[tuple[Path, Path]], out: Path, ending: str, shard: Shard) -> Iterator[Task]:
    """The shard's tasks. Raises typer.BadParameter where two pictures would go to the same file."""
    targets: dict[Path, Path] = {}
    for picture, relative in pictures:
        target = out / relative.with_name(f"{relative.name}.{ending}")
        if target not in targets:
            targets[target] = picture
            if shard.holds(relative):
                yield Task(picture, target)
        elif targets[target].resolve() != picture.resolve():  # one that is given twice is explained once
            other = targets[target]
            raise typer.BadParameter(f"{other} and {picture} would both go to {target}: explain them apart")


def check_outside(out: Path, pictures: list[Path]) -> None:
    """Raise typer.BadParameter where OUT lies in a folder of pictures, whose next run would explain its files."""
    for path in pictures:
        if path.is_dir() and out.resolve().is_relative_to(path.resolve()):
            raise typer.BadParameter(f"--out {out} lies inside {path}: name a folder outside the pictures")
