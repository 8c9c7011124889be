"""What tests of whole requests ask with."""

import base64
import json
from collections.abc import Mapping
from typing import Any

from tests.samples import encoded, noise
from tests.served import sent
from zfnet_explainer.service.service import Service
from zfnet_explainer.wire.request import Incoming

PNG = encoded(noise(230, 300))
B64 = {"data": {"b64": base64.b64encode(PNG).decode()}}
BROKEN = {"data": {"b64": base64.b64encode(PNG[:500]).decode()}}


def explain(fields: Mapping[str, Any], kserve: bool = False, **headers: str) -> Incoming:
    return sent(fields, True, kserve, **headers)


def predict(fields: Mapping[str, Any], kserve: bool = False) -> Incoming:
    return sent(fields, False, kserve)


def one(served: Service, incoming: Incoming, status: int = 200) -> Any:
    [answer] = served.answer([incoming], ["request-1"])
    assert answer.status == status, answer.body[:300]
    assert answer.content_type == "application/json"
    return json.loads(answer.body)


def paths(value: Any, *above: str) -> set[tuple[str, ...]]:
    """The names of all fields of an answer, each with those above it."""
    if isinstance(value, dict):
        return {path for name, inner in value.items() for path in {(*above, name), *paths(inner, *above, name)}}
    return {path for inner in value for path in paths(inner, *above)} if isinstance(value, list) else set()
