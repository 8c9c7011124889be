"""JSON bodies: parsed, and what both of KServe's shapes have in common."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from ..errors import MalformedBody, UnusableOption
from ..messages import printable

MAX_INSTANCES = 16
# Lists and objects of a body: read, a list of two bytes takes fifty and more. Nested pixels have one each.
MAX_CONTAINERS = 1_000_000
MAX_NAMES = 10_000  # a body of sixteen pictures has dozens, and base64 no colon
V1_FIELDS = {"instances", "parameters", "id"}
V2_FIELDS = {"inputs", "parameters", "id", "outputs", "model_name", "model_version"}
OBJECT = re.compile(rb"(\xef\xbb\xbf)?\s*\{")  # a byte order mark and blanks may come first
HOW = (
    "send a picture as the body (curl -T dog.jpg), as the multipart field `data` (curl -F data=@dog.jpg), "
    "or as KServe JSON (with the header `Content-Type: application/json`)"
)


def parse(body: Any) -> dict[str, Any] | None:
    """The body as a JSON object; None where it is something else (no picture begins with a brace)."""
    if isinstance(body, Mapping):
        return dict(body)
    text = as_bytes(body)
    if not OBJECT.match(text):
        return None
    if text.count(b"[") + text.count(b"{") > MAX_CONTAINERS:
        raise MalformedBody(
            f"the JSON has more than {MAX_CONTAINERS:,} lists and objects: send pixels as one flat list"
        )
    if text.count(b":") > MAX_NAMES:
        raise MalformedBody(f"the JSON has more than {MAX_NAMES:,} names: send pictures and their options alone")
    try:
        return dict(json.loads(text, object_pairs_hook=_once))
    except UnusableOption:  # a ValueError too, and not of the JSON: a name is there twice
        raise
    except (ValueError, RecursionError) as error:
        raise MalformedBody(f"the body is not valid JSON: {str(error)[:80]}") from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        counts = Counter(name for name, _ in pairs)
        raise given_twice(counts.most_common(1)[0][0])
    return fields


def parameters(document: Mapping[str, Any]) -> dict[str, Any]:
    """The `parameters` of a document whose other fields are those of its protocol."""
    if "instances" in document and "inputs" in document:
        raise MalformedBody("give either `instances` (KServe V1) or `inputs` (Open Inference Protocol)")
    unknown = set(document) - (V2_FIELDS if "inputs" in document else V1_FIELDS)
    if unknown:
        raise MalformedBody(f"unknown field `{printable(min(unknown))}`; options go into `parameters`")
    return parameters_of(document, "`parameters` is an object of options")


def parameters_of(entry: Mapping[str, Any], expected: str) -> dict[str, Any]:
    """The `parameters` of a document or of a tensor; none where it has none."""
    found = entry.get("parameters")
    if found is not None and not isinstance(found, Mapping):
        raise MalformedBody(expected)
    return dict(found or {})


def refuse_unknown(given: Iterable[str], known: set[str], where: str) -> None:
    """Raise UnusableOption for what stands in a place that has no options."""
    unknown = set(given) - known
    if unknown:
        name = printable(min(unknown))
        raise UnusableOption(f"`{name}` has no meaning in {where}: options go into the request's `parameters`", name)


def counted(entries: Any, name: str) -> list[Any]:
    """The list of pictures that it has to be."""
    if not isinstance(entries, list) or not 1 <= len(entries) <= MAX_INSTANCES:
        raise MalformedBody(f"`{name}` is a list of 1 to {MAX_INSTANCES} pictures")
    return entries


def given_twice(name: str) -> UnusableOption:
    """The error for an option or a field that occurs twice."""
    return UnusableOption(f"`{printable(name)}` is given twice", printable(name))


def as_bytes(body: Any) -> bytes:
    """A body or a form's field as the bytes it was sent as."""
    if isinstance(body, str):
        return body.encode(errors="replace")
    if isinstance(body, bytes | bytearray | memoryview):
        return bytes(body)
    raise MalformedBody('a JSON body is an object: {"instances": [{"data": {"b64": "..."}}]}')
