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
from ..messages import some
from .asking import UNREADABLE, Aborted

MADE_WITH = "made-with.json"


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
        if (other := targets.setdefault(target, picture)) != picture:
            raise typer.BadParameter(f"{other} and {picture} would both go to {target}: explain them apart")
        if shard.holds(relative):
            yield Task(picture, target)


@dataclass(frozen=True)
class Sources:
    """Where a run's pictures come from: the folders that it is given, and the pictures, as absolute paths."""

    folders: frozenset[str]
    pictures: frozenset[str]

    @classmethod
    def of(cls, arguments: Iterable[Path]) -> "Sources":
        resolved = {argument.resolve() for argument in arguments}
        folders = frozenset(str(path) for path in resolved if path.is_dir())
        return cls(folders, frozenset(map(str, resolved)) - folders)

    @classmethod
    def noted(cls, note: Mapping[str, Any]) -> "Sources":
        """Those of OUT's note; none where it does not tell, as those of earlier versions."""
        return cls(frozenset(note.get("folders") or ()), frozenset(note.get("pictures") or ()))

    def with_those(self, before: "Sources") -> "Sources | None":
        """Those of OUT's files once this run has written its own; None where two of them may bear one name.

        A run that is given all that came before, and perhaps more, has compared the names. Otherwise only the names of
        pictures are known, and not those that folders had.
        """
        if before.folders <= self.folders and before.pictures <= self.pictures:
            return self
        both = self.pictures | before.pictures
        apart = len({Path(picture).name for picture in both}) == len(both)
        return None if self.folders or before.folders or not apart else Sources(frozenset(), both)

    def fields(self) -> dict[str, list[str]]:
        return {"folders": sorted(self.folders), "pictures": sorted(self.pictures)}


def check_outside(out: Path, pictures: list[Path]) -> None:
    """Raise typer.BadParameter where OUT lies in a folder of pictures, whose next run would explain its files."""
    for path in pictures:
        if path.is_dir() and out.resolve().is_relative_to(path.resolve()):
            raise typer.BadParameter(f"--out {out} lies inside {path}: name a folder outside the pictures")


def claimed(out: Path) -> bool:
    """Whether OUT has an explanation, or is about to."""
    return (out / MADE_WITH).exists()


def claim(out: Path, made_with: Mapping[str, object], sources: Sources) -> None:
    """Note in OUT how its files are made and of which pictures, before one is written.

    Raises typer.BadParameter as `check_claim` does.
    """
    if not claimed(out):
        _write_note(out, {**made_with, **sources.fields()})
    together = check_claim(out, made_with, sources)  # also its own note, which another run may have replaced meanwhile
    if together != Sources.noted(found := _note(out)):
        _write_note(out, {**found, **together.fields()})


def check_claim(out: Path, made_with: Mapping[str, object], sources: Sources) -> Sources:
    """What OUT's pictures come from with those of this run.

    Raises typer.BadParameter where its files were made otherwise, as far as both are known (not None), or where two
    pictures may have one file.
    """
    found = _note(out) if claimed(out) else {}
    before, known = Sources.noted(found), [name for name, value in made_with.items() if value is not None]
    if any(found.get(name) not in (None, made_with[name]) for name in known):
        theirs = {name: found.get(name) for name in made_with}
        raise typer.BadParameter(
            f"{out} has explanations made with {json.dumps(theirs)}, not {json.dumps(made_with)}: "
            "name another --out, or delete it"
        )
    together = sources.with_those(before)
    if together is None:
        came_from = some(sorted(before.folders or before.pictures))
        raise typer.BadParameter(
            f"{out} has explanations of {came_from}, where pictures may have the same names: name another --out, or "
            f"give all of them at once; where they have moved, delete `folders` and `pictures` from {out / MADE_WITH}"
        )
    return together


def _write_note(out: Path, fields: Mapping[str, object]) -> None:
    write_whole(out / MADE_WITH, json.dumps(fields, indent=2).encode())


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
