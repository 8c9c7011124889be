"""What classes are called in a text for people, where several stand beside each other."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from ..messages import from_right
from ..net.record import ClassName

ISOLATE, POP = "\u2068", "\u2069"


def named(answer: Mapping[str, Any], classes: Sequence[ClassName]) -> dict[str, Any]:
    """The answer with labels that tell its classes apart, wherever in it they stand: a shared one has its synset."""
    found: dict[str, Any] = _named(answer, {label for label, n in Counter(c.label for c in classes).items() if n > 1})
    return found


def _named(part: Any, shared: set[str]) -> Any:
    if isinstance(part, list | tuple):
        return type(part)(_named(one, shared) for one in part)
    if not isinstance(part, Mapping):
        return part
    copy = {key: _named(value, shared) for key, value in part.items()}
    if "synset" in part:
        label = _isolated(part["label"])
        copy["label"] = f"{label} ({part['synset']})" if part["label"] in shared else label
    return copy


def _isolated(label: str) -> str:
    """Set apart where it runs from right to left: else it would draw the numbers behind it to its other side."""
    return f"{ISOLATE}{label}{POP}" if from_right(label) else label
