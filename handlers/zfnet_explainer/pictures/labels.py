"""What is written in a figure, numbers and names: its font has glyphs for many scripts, and not for all."""

from collections.abc import Sequence
from functools import cache

from matplotlib.font_manager import FontProperties, findfont, get_font

from ..net.checkpoint import ClassName


def label(names: Sequence[ClassName], index: int, length: int = 24) -> str:
    """A class's label, or its synset where another has the same label or the font cannot write it; cut to `length`."""
    name = names[index]
    alone = sum(other.label == name.label for other in names) == 1
    return short(name.label if alone and _writable(name.label) else name.synset, length)


def short(text: str, length: int = 24) -> str:
    """The text as the font can write it, cut to so many characters."""
    text = legible(text)
    return text if len(text) <= length else f"{text[: length - 1]}…"


def legible(text: str) -> str:
    """The text, each character that the font has no glyph for as its number: U+732B."""
    return "".join(character if _writable(character) else f"U+{ord(character):04X}" for character in text)


def share(probability: float) -> str:
    """A probability 0 to 1 in three digits; what only rounds to 1 is told as less than that."""
    digits = f"{probability:#.3g}"
    return ">0.999" if probability < 1 and digits == "1.00" else digits


def _writable(text: str) -> bool:
    return all(ord(character) in _glyphs() for character in text)


@cache
def _glyphs() -> frozenset[int]:
    """The characters of the font that figures are written in."""
    return frozenset(get_font(findfont(FontProperties())).get_charmap())
