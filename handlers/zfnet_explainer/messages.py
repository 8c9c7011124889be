"""Values and names in texts for people: short and printable, however long or strange they are."""

import reprlib
from collections.abc import Sequence
from decimal import Decimal
from unicodedata import bidirectional, category

QUOTE = reprlib.Repr()
QUOTE.maxstring = QUOTE.maxother = QUOTE.maxlong = 60
QUOTE.maxlevel = 3
SHOWN = 5  # names in a message
UNSHOWN = {"Cc", "Cs", "Zl", "Zp"}  # Unicode's categories of controls, surrogates, and separators of lines
TURNING = set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")  # of the direction of writing


def printable(name: str) -> str:
    """A name that a client sent, as it may stand in a message: at most 60 characters, none of them control."""
    return QUOTE.repr(name[:61])[1:-1]


def shown(text: str) -> str:
    """A text for one line of a terminal, whole: what moves or turns it, or cannot be encoded, as Python has it."""
    return "".join(repr(c)[1:-1] if category(c) in UNSHOWN or c in TURNING else c for c in text)


def some(names: Sequence[str]) -> str:
    """At most five names for a message, and how many more there are."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def number(value: float) -> str:
    """In three digits that count, without an exponent, thousands apart."""
    return f"{Decimal(f'{value:.3g}'):,f}"


def from_right(text: str) -> bool:
    """Whether there is a letter of a script that runs from right to left."""
    return any(bidirectional(character) in ("R", "AL") for character in text)
