"""Whose explanations a folder has: made-with.json says how its files are made, and of which pictures."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import typer

from ..atomic import write_whole
from ..messages import some
from .asking import Aborted, Options

MADE_WITH = "made-with.json"
SOURCES = ("folders", "pictures")


@dataclass(frozen=True)
class Sources:
    """Where pictures come from: the folders that a run is given, and the pictures, as absolute paths.

    A folder is known by where it lies in the end, a picture by its own name, which its explanation bears.
    """

    folders: frozenset[str] = frozenset()
    pictures: frozenset[str] = frozenset()

    @classmethod
    def of(cls, arguments: Iterable[Path]) -> "Sources":
        folders, pictures = set(), set()
        for path in arguments:
            if path.is_dir():
                folders.add(str(path.resolve()))
            else:
                pictures.add(_absolute(path))
        return cls(frozenset(folders), frozenset(pictures))

    def have(self, picture: Path) -> bool:
        path = _absolute(picture)
        return path in self.pictures or any(str(folder) in self.folders for folder in Path(path).parents)

    def with_those(self, before: "Sources") -> "Sources | None":
        """Those of OUT's files once this run has written its own; None where two of them may bear one name.

        A run that is given all that came before, and perhaps more, compares the names. Otherwise only the names of
        pictures are known, and not those that folders had.
        """
        if not self.lacking(before):
            return self
        if self.folders or before.folders:
            return None
        both = self.pictures | before.pictures
        names = {Path(picture).name for picture in both}
        return Sources(pictures=both) if len(names) == len(both) else None

    def lacking(self, before: "Sources") -> list[str]:
        """What came before and is not among these; a picture is where its folder is, under the same name."""
        pictures = {path for path in before.pictures - self.pictures if str(Path(path).parent) not in self.folders}
        return sorted(before.folders - self.folders) + sorted(pictures)


def _absolute(picture: Path) -> str:
    return str(_resolved(picture.parent) / picture.name)


@lru_cache
def _resolved(folder: Path) -> Path:
    """Many pictures have one folder, which a file server is asked for once."""
    return folder.resolve()


class Claim:
    """OUT's note, as this run would have it. Its methods raise typer.BadParameter where OUT's files are others'.

    The hash of the weights is None until it is known, and where nobody tells it.
    """

    def __init__(self, out: Path, options: Options, sources: Sources) -> None:
        self.out, self.options, self.sources = out, options, sources
        self.weights_sha256: str | None = None
        self.note = out / MADE_WITH
        self._seen: tuple[int, int] | None = None

    @property
    def taken(self) -> bool:
        """Whether OUT has an explanation, or is about to."""
        return self.note.exists()

    def check(self, explained: Iterable[Path] = ()) -> None:
        """Before any work: `explained` are this run's pictures whose explanations are there."""
        if not self.taken:
            return
        _, before, _ = self._compared()
        if before != Sources() and (others := [str(path) for path in explained if not before.have(path)]):
            raise typer.BadParameter(
                f"{self.out} has explanations of other pictures under the names of {some(others)}: name another --out"
            )

    def take(self) -> None:
        """Before a file is written, and not sooner: a mistyped option claims no folder."""
        if not self.taken:
            self._write({"options": self.options, "weights_sha256": self.weights_sha256, **_fields(self.sources)})
        seen = self._stamp()  # another run may have replaced the note meanwhile, or does now
        if seen == self._seen:
            return
        found, before, joined = self._compared()
        if joined == before:
            self._seen = seen
        else:
            self._write({**found, **_fields(joined)})

    def _compared(self) -> tuple[dict[str, Any], Sources, Sources]:
        """The note, where OUT's pictures come from, and where they do once this run's are among them."""
        found = self._read()
        self._refuse_made_otherwise(found)
        before = _sources(found)
        return found, before, self._joined(before)

    def _refuse_made_otherwise(self, found: Mapping[str, Any]) -> None:
        """Options and weights are compared as far as this run and the note know them."""
        made = {"options": self.options, "weights_sha256": self.weights_sha256}
        ours = {name: value for name, value in made.items() if value is not None}
        theirs = {name: found.get(name) for name in ours}
        if any(theirs[name] not in (None, ours[name]) for name in ours):
            raise typer.BadParameter(
                f"{self.out} has explanations made with {json.dumps(theirs)}, not {json.dumps(ours)}: "
                "name another --out, or delete it"
            )

    def _joined(self, before: Sources) -> Sources:
        """What OUT's pictures come from once this run's are among them."""
        together = self.sources.with_those(before)
        if together is None:
            lacking = some(self.sources.lacking(before))
            raise typer.BadParameter(
                f"{self.out} has explanations of {lacking}, where pictures may have the same names: name another "
                "--out, or give all of them at once; where they have moved, delete `folders` and `pictures` from "
                f"{self.note}"
            )
        return together

    def _read(self) -> dict[str, Any]:
        try:
            found = json.loads(self.note.read_text())
        except OSError as error:
            raise Aborted(f"{self.note} cannot be read now: {error.strerror}") from error
        except ValueError as error:
            raise typer.BadParameter(
                f"{self.note} cannot be read ({error}): name another --out, or delete {self.out}"
            ) from error
        if not isinstance(found, dict) or "options" not in found or not all(map(_are_paths, map(found.get, SOURCES))):
            raise typer.BadParameter(f"{self.note} is not this program's: name another --out, or delete {self.out}")
        return found

    def _write(self, fields: Mapping[str, object]) -> None:
        write_whole(self.note, json.dumps(fields, indent=2).encode())

    def _stamp(self) -> tuple[int, int]:
        """Another one for another note: files are replaced, not written over."""
        found = self.note.stat()
        return found.st_ino, found.st_mtime_ns


def _sources(found: Mapping[str, Any]) -> Sources:
    return Sources(*(frozenset(found.get(name) or ()) for name in SOURCES))


def _fields(sources: Sources) -> dict[str, list[str]]:
    return {"folders": sorted(sources.folders), "pictures": sorted(sources.pictures)}


def _are_paths(value: object) -> bool:
    return value is None or (isinstance(value, list) and all(isinstance(path, str) for path in value))
