"""A request's body as it was written: unpacked, and found in the form that a client took it for."""

import json
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

from ..errors import MalformedBody, TooLarge, UnsupportedEncoding
from ..messages import printable
from .document import as_bytes, parse

MAX_UNPACKED = 32 * 2**20  # as long as a body may be that is not packed
GZIP = 31  # zlib's window bits for gzip's own header
JSON_AS_FORM = (
    "the JSON came as a form, which takes its +, & and % for its own: send the header `Content-Type: application/json` "
    "(curl -H 'Content-Type: application/json' -d @v1.json)"
)


def unpacked(body: Any, encoding: str) -> Any:
    """The body without its Content-Encoding. Raises UnsupportedEncoding, MalformedBody, or TooLarge as it unpacks."""
    name = encoding.strip().lower()
    if name in ("", "identity"):
        return body
    if name != "gzip":
        raise UnsupportedEncoding(f"Content-Encoding {printable(name)} is not read: send gzip, or the body as it is")
    stream = zlib.decompressobj(GZIP)
    try:
        found = stream.decompress(as_bytes(body), MAX_UNPACKED + 1)
    except (zlib.error, MalformedBody) as error:
        raise MalformedBody("the Content-Encoding says gzip, and the body is none: leave the header out") from error
    if len(found) > MAX_UNPACKED:
        raise TooLarge(f"the body unpacks to more than {MAX_UNPACKED:,} bytes (32 MiB): send less at once")
    if not stream.eof or stream.unused_data:
        raise MalformedBody("the body is not one whole gzip stream: is it complete?")
    return found


def json_of_form(fields: Mapping[str, Any]) -> dict[str, Any] | None:
    """The JSON that a client called a form (curl -d @v1.json does), None where the form is one.

    The server before us has split it at the first =, and made blanks of all +. Base64 has no blanks, so that in
    pictures they are + again; elsewhere they are blanks, and refused where they are none between two words.
    """
    name = next(iter(fields), "")
    if not name.lstrip("\ufeff \t\r\n").startswith("{"):
        return None
    value = fields[name]
    if len(fields) > 1 or isinstance(value, list):
        raise MalformedBody(JSON_AS_FORM)
    rest = as_bytes(value)
    try:
        document = parse(name.encode(errors="replace") + (b"=" + rest if rest else b"")) or {}
        pictures = {key: document.pop(key) for key in ("instances", "inputs") if key in document}
        restored = json.loads(json.dumps(pictures, separators=(",", ":")).replace(" ", "+"))
        lost = any(map(_lost_plus, _strings(document)))
    except (MalformedBody, RecursionError) as error:
        raise MalformedBody(JSON_AS_FORM) from error
    if lost:
        raise MalformedBody(JSON_AS_FORM)
    return {**document, **restored}


def _lost_plus(text: str) -> bool:
    """Whether it has blanks that no option needs, at an end or two together: they were +."""
    return text != text.strip(" ") or "  " in text


def _strings(value: object) -> Iterator[str]:
    """Every string in a value of JSON, but for the names of its objects; each at the same cost, however deep it is."""
    rest = [value]
    while rest:
        inner = rest.pop()
        if isinstance(inner, str):
            yield inner
        elif isinstance(inner, list | dict):
            rest.extend(inner.values() if isinstance(inner, dict) else inner)
