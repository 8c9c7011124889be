"""Many pictures into a folder: which are whose, which are left, and how what is there was made."""

import json
import os
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from ..atomic import write_whole
from .asking import UNREADABLE, Aborted

MADE_WITH = "made-with.json"
FOLDERS = "folders"  # that the names of OUT's files begin in


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
        """Whether the explanation is there and no older than the picture, which may have been replaced."""
        try:
            return self.target.stat().st_mtime_ns >= self.picture.stat().st_mtime_ns
        except OSError as error:
            if error.errno in UNREADABLE:  # is told when the picture is read, or its explanation written
                return False
            raise Aborted(f"{error.filename} cannot be looked at now: {error.strerror}") from error


def planned(pictures: list[tuple[Path, Path]], out: Path, ending: str, shard: Shard) -> Iterator[Task]:
    """The shard's tasks. Raises typer.BadParameter where two pictures would go to the same file."""
    targets: dict[Path, Path] = {}
    for picture, relative in pictures:
        target = out / relative.with_name(f"{relative.name}.{ending}")
        if (other := targets.setdefault(target, picture)) != picture:
            raise typer.BadParameter(f"{other} and {picture} would both go to {target}: explain them apart")
        if shard.holds(relative):
            yield Task(picture, target)


def folders(pictures: Iterable[Path]) -> list[str]:
    """Where the paths below these arguments begin: two pictures of one such path are not one picture."""
    return sorted({str((path if path.is_dir() else path.parent).resolve()) for path in pictures})


def check_outside(out: Path, pictures: list[Path]) -> None:
    """Raise typer.BadParameter where OUT lies in a folder of pictures, whose next run would explain its files."""
    for path in pictures:
        if path.is_dir() and out.resolve().is_relative_to(path.resolve()):
            raise typer.BadParameter(f"--out {out} lies inside {path}: name a folder outside the pictures")


def claimed(out: Path) -> bool:
    """Whether OUT has an explanation, or is about to."""
    return (out / MADE_WITH).exists()


def check_folders(out: Path, pictures: list[Path], tasks: Iterable[Task]) -> None:
    """Raise typer.BadParameter where OUT's files are of other folders, and one of them may bear a name of this run's.

    Pictures that are named themselves may join others whose files have other names.
    """
    noted, ours = _note(out).get(FOLDERS) if claimed(out) else None, folders(pictures)
    if noted is None or set(ours) <= set(noted):
        return
    if any(path.is_dir() for path in pictures) or any(os.path.exists(task.target) for task in tasks):
        raise typer.BadParameter(
            f"{out} has explanations of pictures in {json.dumps(noted)}, not {json.dumps(ours)}: name another --out; "
            f"where the same pictures have moved, delete `{FOLDERS}` from {out / MADE_WITH}"
        )


def claim(out: Path, made_with: Mapping[str, object], pictures: list[Path]) -> None:
    """Note in OUT how its files are made, and of which folders' pictures, before one is written.

    Raises typer.BadParameter as `check_claim` does.
    """
    ours = folders(pictures)
    if not claimed(out):
        write_whole(out / MADE_WITH, json.dumps({**made_with, FOLDERS: ours}, indent=2).encode())
    found = check_claim(out, made_with)  # also its own note, which another run may have replaced meanwhile
    if not set(ours) <= set(found.get(FOLDERS, ours)):
        joined = sorted({*found[FOLDERS], *ours})
        write_whole(out / MADE_WITH, json.dumps({**found, FOLDERS: joined}, indent=2).encode())


def check_claim(out: Path, made_with: Mapping[str, object]) -> dict[str, Any]:
    """OUT's note; typer.BadParameter where its files were made otherwise, as far as both are known (not None)."""
    found = _note(out) if claimed(out) else {}
    known = [name for name, value in made_with.items() if value is not None and found.get(name) is not None]
    differing = [name for name in known if found[name] != made_with[name]]
    if differing:
        theirs = {name: found.get(name) for name in made_with}
        raise typer.BadParameter(
            f"{out} has explanations made with {json.dumps(theirs)}, not {json.dumps(made_with)}: "
            "name another --out, or delete it"
        )
    return found


def _note(out: Path) -> dict[str, Any]:
    """How OUT's files were made. Raises typer.BadParameter where its note does not tell, Aborted where none is read."""
    note = out / MADE_WITH
    try:
        found = json.loads(note.read_text())
    except OSError as error:
        raise Aborted(f"{note} cannot be read now: {error.strerror}") from error
    except ValueError as error:
        raise typer.BadParameter(f"{note} cannot be read ({error}): name another --out, or delete {out}") from error
    if not isinstance(found, dict) or "options" not in found:
        raise typer.BadParameter(f"{note} is not this program's: name another --out, or delete {out}")
    return found
