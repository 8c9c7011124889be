"""What an option may be: its default, how it is read as clients write it, and what a control for it needs to know."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar
from unicodedata import normalize

from ..errors import InvalidOption
from ..net.record import ClassName
from ..pictures.fill import FILLS, FILLS_IN_WORDS, is_fill

T = TypeVar("T")
MAX_LISTED = 64
MAX_DIGITS = 12


class Values(Protocol):
    """The values of one option; `parse` raises InvalidOption, which names the option, for any other."""

    @property
    def default(self) -> Any: ...

    @property
    def control(self) -> dict[str, Any]:
        """What it may be, beside free text: `low` and `high`, or `choices` as text."""
        ...

    def parse(self, name: str, value: Any) -> Any: ...


@dataclass(frozen=True)
class Integer:
    """An integer from `low` to `high`, both included; `high_is` says what the higher bound means."""

    low: int
    high: int
    high_is: str = ""
    default: int = 0

    @property
    def control(self) -> dict[str, Any]:
        return {"low": self.low, "high": self.high}

    def parse(self, name: str, value: Any) -> int:
        number = as_integer(value)
        if number is None or not self.low <= number <= self.high:
            meaning = f" ({self.high_is})" if self.high_is else ""
            raise InvalidOption(name, f"an integer from {self.low} to {self.high}{meaning}", value)
        return number


@dataclass(frozen=True)
class Integers:
    """Distinct integers from `low` to `high`; `expected` says so."""

    low: int
    high: int
    expected: str
    default: tuple[int, ...] | None

    @property
    def control(self) -> dict[str, Any]:
        return {"choices": [str(n) for n in range(self.low, self.high + 1)]} if self.default else {}

    def parse(self, name: str, value: Any) -> tuple[int, ...]:
        numbers = _distinct(name, value, self.expected, as_integer)
        if not all(self.low <= number <= self.high for number in numbers):
            raise InvalidOption(name, self.expected, value)
        return numbers


@dataclass(frozen=True)
class Choice:
    """One of some words, in any case; `why` says what limits them."""

    choices: tuple[str, ...]
    default: str
    why: str = ""

    @property
    def control(self) -> dict[str, Any]:
        return {"choices": self.choices}

    def parse(self, name: str, value: Any) -> str:
        chosen = value.strip().lower() if isinstance(value, str) else value
        if chosen not in self.choices:
            meaning = f" ({self.why})" if self.why else ""
            raise InvalidOption(name, f"one of {', '.join(self.choices)}{meaning}", value)
        return str(chosen)


@dataclass(frozen=True)
class Both:
    """One of two words or both, which is the default."""

    choices: tuple[str, str]

    @property
    def default(self) -> frozenset[str]:
        return frozenset(self.choices)

    @property
    def control(self) -> dict[str, Any]:
        return {"choices": self.choices}

    def parse(self, name: str, value: Any) -> frozenset[str]:
        expected = f"{', '.join(self.choices)} or both, separated by a comma, each once"
        return frozenset(_distinct(name, value, expected, self._word))

    def _word(self, value: Any) -> str | None:
        word = value.strip().lower() if isinstance(value, str) else ""
        return word if word in self.choices else None


@dataclass(frozen=True)
class Boolean:
    """True or false, as JSON has them or in words."""

    default: bool

    @property
    def control(self) -> dict[str, Any]:
        return {"choices": ("true", "false")}

    def parse(self, name: str, value: Any) -> bool:
        chosen = {"true": True, "false": False}.get(value.strip().lower()) if isinstance(value, str) else value
        if not isinstance(chosen, bool):
            raise InvalidOption(name, "true or false", value)
        return chosen


@dataclass(frozen=True)
class Fill:
    """What covers a picture, in any case."""

    default: str

    @property
    def control(self) -> dict[str, Any]:
        return {"choices": FILLS}

    def parse(self, name: str, value: Any) -> str:
        text = value.strip().lower() if isinstance(value, str) else ""
        if not is_fill(text):
            raise InvalidOption(name, FILLS_IN_WORDS, value)
        return text


@dataclass(frozen=True)
class ClassIndex:
    """A class by its label or synset, in any case, else by its index; None where nobody says which.

    Where there is a `word`, it stands for a class that is not known yet, and is parsed to itself.
    """

    classes: tuple[ClassName, ...]
    word: str = ""

    @property
    def default(self) -> None:
        return None

    @property
    def control(self) -> dict[str, Any]:
        return {"choices": (self.word,)} if self.word else {}

    def parse(self, name: str, value: Any) -> int | str:
        called = self._called(value) if isinstance(value, str) else []
        if self.word and isinstance(value, str) and _plain(value) == self.word:
            return self._by_word(name, value, called)
        return self._by_name(name, value, called) if called else self._by_number(name, value)

    def written(self, index: int) -> str:
        """How a client says a class: by its label or synset, if it is no other's and not the word, or by its index."""
        name = self.classes[index]
        clear = (text for text in (name.label, name.synset) if self._called(text) == [index])
        return next((text for text in clear if _plain(text) != self.word), str(index))

    def _by_word(self, name: str, value: str, called: list[int]) -> str:
        if called:
            synset = self.classes[called[0]].synset
            raise InvalidOption(name, f"clear: for the class of that name say {synset} or its index", value)
        return self.word

    def _by_name(self, name: str, value: Any, called: list[int]) -> int:
        if len(called) > 1:
            synsets = ", ".join(self.classes[i].synset for i in called)
            raise InvalidOption(name, f"unique: {synsets} share this label", value)
        return called[0]

    def _by_number(self, name: str, value: Any) -> int:
        last = len(self.classes) - 1
        if as_integer(value) is None:
            first = self.classes[0]
            such = f" (such as {first.synset} or {first.label!r})" if isinstance(value, str) else ""
            word = f"`{self.word}`, " if self.word else ""
            raise InvalidOption(name, f"{word}a class index from 0 to {last}, a synset or a label{such}", value)
        index = Integer(0, last, "a synset or a label serve too").parse(name, value)
        if self._called(str(index)) not in ([], [index]):
            expected = f'"{index}" as text for the class of that name, and its name for the class of that index'
            raise InvalidOption(name, expected, value)
        return index

    def _called(self, text: str) -> list[int]:
        """The classes of that name as it is written, as `A` beside `a`; where there is none, in any case."""
        return self._named(text, str.strip) or self._named(text, _plain)

    def _named(self, text: str, form: Callable[[str], str]) -> list[int]:
        wanted = form(text)
        return [i for i, c in enumerate(self.classes) if wanted in (form(c.synset), form(c.label))]


def as_integer(value: Any) -> int | None:
    """The integer that JSON has or that is written in text; None where it is none."""
    if isinstance(value, str) and len(value.strip()) <= MAX_DIGITS:
        text = value.strip()
        return int(text) if text.isascii() and text.removeprefix("-").isdigit() else None
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def as_text(checked: Any) -> str:
    """A checked value as a client would write it; nothing for one that is not there."""
    if isinstance(checked, frozenset):
        return as_text(tuple(sorted(checked)))
    if isinstance(checked, tuple):
        return ",".join(map(as_text, checked))
    return "" if checked is None else str(checked).lower()


def _distinct(name: str, value: Any, expected: str, parse: Callable[[Any], T | None]) -> tuple[T, ...]:
    parts = value.split(",") if isinstance(value, str) else value if isinstance(value, list) else [value]
    if not 1 <= len(parts) <= MAX_LISTED:
        raise InvalidOption(name, expected, value)
    parsed = [found for found in map(parse, parts) if found is not None]
    if len(set(parsed)) < len(parts):
        raise InvalidOption(name, expected, value)
    return tuple(parsed)


def _plain(name: str) -> str:
    """Without what a name may lose on its way: its case, and, from a Mac's folders, how letters are composed."""
    return " ".join(normalize("NFC", name).replace("_", " ").lower().split())
