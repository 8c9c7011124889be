"""What is written in a figure, numbers and names: its font has glyphs for many scripts, and not for all."""

from collections import Counter
from collections.abc import Sequence
from functools import cache, lru_cache

import matplotlib
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.textpath import text_to_path

from ...messages import from_right
from ...net.record import ClassName

LAID_OUT = matplotlib.__version_info__ >= (3, 11)  # before, letters stand from left to right in whatever script


def label(names: Sequence[ClassName], index: int, length: int = 24) -> str:
    """A class's label, or its synset where another has the same label or the font cannot write it; cut to `length`.

    Where another class would then read the same, the middle is left out, and where that is not enough its index stands
    behind it.
    """
    return _labels(tuple(names), length)[index]


def fitting(text: str, size: float, width: float) -> str:
    """As much of the text as `width` inches hold in letters of `size` points, as the font can write it."""
    text = legible(text)
    cuts = (_cut(text, length) for length in range(len(text), 0, -1))
    return next((cut for cut in cuts if inches(cut, size) <= width), "…")


def inches(text: str, size: float) -> float:
    """How wide a line of text is in letters of `size` points."""
    points, _, _ = text_to_path.get_text_width_height_descent(text, FontProperties(size=size), ismath=False)
    return float(points) / 72


def legible(text: str) -> str:
    """The text, each character that the font has no glyph for as its number: U+732B."""
    return "".join(character if ord(character) in _glyphs() else f"U+{ord(character):04X}" for character in text)


@lru_cache(maxsize=8)  # a figure names many of a thousand classes
def _labels(names: tuple[ClassName, ...], length: int) -> tuple[str, ...]:
    """Every class's."""
    shared = Counter(name.label for name in names)
    whole = [legible(one.label if shared[one.label] == 1 and _writable(one.label) else one.synset) for one in names]
    ends = Counter(_cut(text, length) for text in whole)
    middles = Counter(_shortened(text, length) for text in whole)
    return tuple(_told_apart(text, length, index, ends, middles) for index, text in enumerate(whole))


def _told_apart(text: str, length: int, index: int, ends: Counter[str], middles: Counter[str]) -> str:
    """The first of its short forms that is no other class's, of which `ends` and `middles` have how often each is."""
    end, middle = _cut(text, length), _shortened(text, length)
    if ends[end] == 1:
        return end
    return middle if middles[middle] == 1 else _numbered(text, length, index)


def _shortened(text: str, length: int) -> str:
    """The text without its middle."""
    return _cut(text, length, tail=length // 2)


def _cut(text: str, length: int, tail: int = 0) -> str:
    """The text, or so many characters of it, `tail` of them its last."""
    return text if len(text) <= length else f"{text[: length - 1 - tail]}…{text[len(text) - tail :]}"


def _numbered(text: str, length: int, index: int) -> str:
    number = f" #{index}"
    return _cut(text, length - len(number)) + number


def share(probability: float) -> str:
    """A probability 0 to 1 in three digits; less than 0.001 and what only rounds to 1 are told as that."""
    if 0 < probability < 0.001:
        return "<0.001"
    digits = f"{probability:#.3g}"
    return ">0.999" if probability < 1 and digits == "1.00" else digits


def _writable(text: str) -> bool:
    return legible(text) == text and (LAID_OUT or not from_right(text))


@cache
def _glyphs() -> frozenset[int]:
    """The characters of the font that figures are written in."""
    return frozenset(get_font(findfont(FontProperties())).get_charmap())
