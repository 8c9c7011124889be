"""What deploy/openapi.yaml promises to clients, a line each: no line may be lost before the next major version.

`python -m tests.contract.promises` records the document's promises in promises.txt, and refuses to lose one.
"""

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..document import DOCUMENT

RECORD = Path(__file__).with_name("promises.txt")
METHODS = ("get", "post", "put", "delete")
Document = Mapping[str, Any]


def promises(document: Document) -> set[str]:
    """Calls, what they take, which of it they do not need, and what their answers hold."""
    return {line for call, operation in _calls(document) for line in _promised(document, call, operation)}


def version(document: Document) -> tuple[int, ...]:
    return tuple(map(int, document["info"]["version"].split(".")))


def recorded() -> tuple[tuple[int, ...], set[str]]:
    """The version of the contract that was recorded, and its promises."""
    first, *lines = RECORD.read_text().splitlines()
    return tuple(map(int, first.split("."))), set(lines)


def complaint(document: Document, before: tuple[int, ...], promised: set[str]) -> str | None:
    """Why this document may not follow what was promised at the version before; None where it may."""
    now, made = version(document), promises(document)
    lost, new = sorted(promised - made), made - promised
    if lost and now[0] <= before[0]:
        return f"{len(lost)} promises are broken, which needs version {before[0] + 1}.0.0:\n" + "\n".join(lost)
    if new and now[:2] <= before[:2]:
        return f"{len(new)} promises are new, which needs version {before[0]}.{before[1] + 1}.0"
    return None


def _calls(document: Document) -> Iterator[tuple[str, Document]]:
    for path, operations in document["paths"].items():
        for method in METHODS:
            if method in operations:
                yield f"{method.upper()} {path}", operations[method]


def _promised(document: Document, call: str, operation: Document) -> Iterator[str]:
    yield call
    for reference in operation.get("parameters", ()):
        parameter = _resolved(document, reference)
        yield from _taken(document, f"{call} takes {parameter['in']} {parameter['name']}", parameter["schema"])
        if not parameter.get("required"):
            yield f"{call} does not need {parameter['in']} {parameter['name']}"
    body = _resolved(document, operation.get("requestBody", {}))
    for media_type, content in body.get("content", {}).items():
        yield from _taken(document, f"{call} takes {media_type}", content["schema"])
    for status, reference in operation["responses"].items():
        answer = _resolved(document, reference)
        yield f"{call} answers {status}"
        for media_type, content in answer.get("content", {}).items():
            yield from _given(document, f"{call} answers {status} {media_type}", content["schema"])


def _taken(document: Document, line: str, schema: Document) -> Iterator[str]:
    """What may be sent: each key and listed value, and each key that may be left out."""
    for path, part in _parts(document, schema, line, "sent"):
        yield f"{path}{_refers(part)}"
        yield from (f"{path} = {value}" for value in part.get("enum", ()))
        needed = part.get("required", ())
        yield from (f"{path} without {key}" for key in part.get("properties", ()) if key not in needed)


def _given(document: Document, line: str, schema: Document) -> Iterator[str]:
    """What an answer holds: each key with its type, and whether it is always there."""
    for path, part in _parts(document, schema, line, "answered"):
        yield f"{path}:{_refers(part) or _type(part)}"
        yield from (f"{path} always has {key}" for key in part.get("required", ()))


def _parts(
    document: Document, schema: Document, path: str, role: str, above: tuple[str, ...] = ()
) -> Iterator[tuple[str, Any]]:
    """A schema and those of its keys and items, by their paths; a named one's paths begin with its name."""
    yield path, schema
    if name := _refers(schema).strip():
        if name not in above:
            yield from _parts(document, _resolved(document, schema), f"{name} ({role})", role, (*above, name))
        return
    for combined in ("allOf", "oneOf", "anyOf"):
        for one in schema.get(combined, ()):
            yield from _parts(document, one, path, role, above)
    for key, value in schema.get("properties", {}).items():
        yield from _parts(document, value, f"{path}.{key}", role, above)
    if isinstance(schema.get("items"), Mapping):
        yield from _parts(document, schema["items"], f"{path}[]", role, above)


def _refers(schema: Document) -> str:
    return f" {schema['$ref'].rpartition('/')[2]}" if "$ref" in schema else ""


def _type(schema: Document) -> str:
    kind = schema.get("type", "any")
    return f" {kind if isinstance(kind, str) else '|'.join(kind)}"


def _resolved(document: Document, node: Document) -> Document:
    while "$ref" in node:
        found: Any = document
        for key in node["$ref"].removeprefix("#/").split("/"):
            found = found[key]
        node = found
    return node


if __name__ == "__main__":
    if RECORD.exists() and (why := complaint(DOCUMENT, *recorded())):
        sys.exit(why)
    RECORD.write_text("\n".join([DOCUMENT["info"]["version"], *sorted(promises(DOCUMENT))]) + "\n")
