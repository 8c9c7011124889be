"""Values and names in messages: short and printable, however long or strange they are."""

import reprlib
from collections.abc import Sequence

QUOTE = reprlib.Repr()
QUOTE.maxstring = QUOTE.maxother = QUOTE.maxlong = 60
QUOTE.maxlevel = 3
SHOWN = 5  # names in a message


def printable(name: str) -> str:
    """A name that a client sent, as it may stand in a message: at most 60 characters, none of them control."""
    return QUOTE.repr(name[:61])[1:-1]


def shown(text: str) -> str:
    """A text for one line of a terminal, whole: what moves its cursor, or cannot be encoded, as Python writes it."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def some(names: Sequence[str]) -> str:
    """At most five names for a message, and how many more there are."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
