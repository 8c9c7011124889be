"""Encoded pictures as clients send them: their bytes, or base64 of these."""

import base64
import re
from typing import Any

from ..errors import MalformedBody
from ..pictures.decode import SIGNATURES, decode
from ..pictures.view import Picture, View
from ..pictures.work import Work
from .document import HOW

DATA_URL = re.compile(r"\s*data:[^,]{0,200};base64,", re.IGNORECASE)
PLAIN = str.maketrans("-_", "+/", " \t\r\n")
NO_BASE64 = re.compile(r"[^A-Za-z0-9+/]")
HEAD = 300  # characters of base64 that hold a picture's first bytes, behind a data URL's too


def decode_picture(encoded: bytes, view: View | int, work: Work | None = None) -> Picture:
    """`decode`, with a word for a picture that was left out."""
    if not encoded:
        raise MalformedBody(f"the picture is empty: {HOW}")
    return decode(encoded, view, work)


def from_base64(text: Any) -> bytes:
    """The bytes of base64: wrapped, URL-safe, unpadded, or in a data URL. Raises MalformedBody."""
    if not isinstance(text, str):
        raise MalformedBody("a picture is not valid base64: it is not a string")
    digits = _without_url(text).translate(PLAIN).rstrip("=")
    if strange := NO_BASE64.search(digits):
        raise MalformedBody(
            f"a picture is not valid base64: `{ascii(strange[0])[1:-1]}` after {strange.start():,} characters"
        )
    if len(digits) % 4 == 1:
        raise MalformedBody(f"a picture is not valid base64: {len(digits):,} characters are one too many or too few")
    return base64.b64decode(digits + "=" * (-len(digits) % 4))


def from_binary(element: bytes) -> bytes:
    """An element of binary data: a picture's bytes, or text, base64 of them. Raises MalformedBody.

    Clients that make binary data of a request in JSON send such text. No picture begins as base64 of one does.
    """
    digits = _without_url(element[:HEAD].decode("latin-1")).translate(PLAIN)[:16]
    if NO_BASE64.search(digits) or not SIGNATURES.match(base64.b64decode(digits[: len(digits) // 4 * 4])):
        return element
    return from_base64(element.decode("latin-1"))


def _without_url(text: str) -> str:
    url = DATA_URL.match(text)  # at the start alone: a search would go through a run of blanks from each one of them
    return text[url.end() :] if url else text
