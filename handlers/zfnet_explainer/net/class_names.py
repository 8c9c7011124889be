"""The file that names a net's classes, in any of its usual forms."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..atomic import read_json
from .record import ClassName

FORMS = (
    '{"SYNSET": "name", ...} sorted by synset, ["name", ...], {"0": "name", ...} or {"0": ["SYNSET", "name"], ...}, '
    "each a text that is not blank"
)


def read_class_names(path: Path, count: int) -> tuple[ClassName, ...]:
    """The names of a net's `count` classes, in its order. Raises ValueError for another number, or another file.

    Classes without synsets are called by their names; one whose name another has, by name and number.
    """
    expected = f"{path} must be JSON: {FORMS}"
    pairs = _paired(_in_order(read_json(path, expected), path))
    if not pairs or not all(isinstance(text, str) for pair in pairs for text in pair):
        raise ValueError(expected)
    try:
        names = tuple(ClassName(*pair) for pair in pairs)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    if len(names) != count:
        raise ValueError(f"{path} names {len(names):,} classes, but the net scores {count:,}")
    if twice := [synset for synset, times in Counter(name.synset for name in names).items() if times > 1]:
        raise ValueError(f"{path} names {twice[0]} twice: each class needs a synset of its own")
    return names


def _in_order(found: Any, path: Path) -> Sequence[Any]:
    """The entries by class index: a name, or a synset and a name."""
    if isinstance(found, list):
        return found
    if not isinstance(found, dict):
        return ()
    if all(key.isdecimal() for key in found):
        if list(found) != [str(index) for index in range(len(found))]:
            raise ValueError(
                f'{path} has numbers that are not "0" to "{len(found) - 1}" in this order: they are the net\'s class '
                "indices; for ImageFolder's folders write a list in the order of sorted(folders)"
            )
        return list(found.values())
    if list(found) != sorted(found):
        raise ValueError(f"{path} has its synsets in no order: sort them, as the net's classes are, or write a list")
    return list(found.items())


def _paired(entries: Sequence[Any]) -> list[tuple[Any, Any]]:
    """Synset and name of each."""
    often = Counter(entry for entry in entries if isinstance(entry, str))
    return [_pair(index, entry, often) for index, entry in enumerate(entries)]


def _pair(index: int, entry: Any, often: Counter[str]) -> tuple[Any, Any]:
    if isinstance(entry, list | tuple) and len(entry) == 2:
        return entry[0], entry[1]
    return f"{entry} ({index})" if isinstance(entry, str) and often[entry] > 1 else entry, entry
