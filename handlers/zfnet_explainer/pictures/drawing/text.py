"""What is written in a figure, numbers and names: its font has glyphs for many scripts, and not for all."""

from collections import Counter
from collections.abc import Sequence
from functools import cache, lru_cache

from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.textpath import text_to_path

from ...net.record import ClassName


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
    return "".join(character if _writable(character) else f"U+{ord(character):04X}" for character in text)


@lru_cache(maxsize=8)  # a figure names many of a thousand classes
def _labels(names: tuple[ClassName, ...], length: int) -> tuple[str, ...]:
    """Every class's."""
    shared = Counter(name.label for name in names)
    whole = [legible(one.label if shared[one.label] == 1 and _writable(one.label) else one.synset) for one in names]
    ends, middles = ([_cut(text, length, tail) for text in whole] for tail in (0, length // 2))
    so_cut, so_shortened = Counter(ends), Counter(middles)
    return tuple(
        end if so_cut[end] == 1 else middle if so_shortened[middle] == 1 else _numbered(text, length, index)
        for index, (text, end, middle) in enumerate(zip(whole, ends, middles, strict=True))
    )


def _cut(text: str, length: int, tail: int = 0) -> str:
    """The text, or so many characters of it, `tail` of them its last."""
    return text if len(text) <= length else f"{text[: length - 1 - tail]}…{text[len(text) - tail :]}"


def _numbered(text: str, length: int, index: int) -> str:
    number = f" #{index}"
    return _cut(text, length - len(number)) + number


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
