"""deploy/openapi.yaml, to hold values against its schemas."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

DOCUMENT: dict[str, Any] = yaml.safe_load((Path(__file__).parents[1] / "deploy" / "openapi.yaml").read_text())
SCHEMAS: dict[str, dict[str, Any]] = DOCUMENT["components"]["schemas"]
# What a server answers itself, by path, and what the gateway answers in front of it.
SERVED: dict[str, dict[str, Any]] = {path: calls for path, calls in DOCUMENT["paths"].items() if "servers" not in calls}
ANSWERED_BY_THE_GATEWAY = tuple(path for path in DOCUMENT["paths"] if path not in SERVED)
REGISTRY: Registry[Any] = Registry().with_resource(
    "urn:zfnet", Resource.from_contents(DOCUMENT, default_specification=DRAFT202012)
)


def check(schema: Mapping[str, Any], value: object) -> None:
    """Raise ValidationError where the value does not fit; references are into the document."""
    Draft202012Validator(_absolute(schema), registry=REGISTRY).validate(value)


def _absolute(node: Any) -> Any:
    if isinstance(node, Mapping):
        return {
            key: f"urn:zfnet{value}" if key == "$ref" and value.startswith("#") else _absolute(value)
            for key, value in node.items()
        }
    return [_absolute(value) for value in node] if isinstance(node, list) else node


def response(path: str, status: int, method: str = "post") -> dict[str, Any]:
    """What the document says of an answer."""
    found: dict[str, Any] = DOCUMENT["paths"][path][method]["responses"][str(status)]
    if "$ref" in found:
        found = DOCUMENT["components"]["responses"][found["$ref"].rpartition("/")[2]]
    return found
