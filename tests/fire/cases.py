"""A request that is unusual in some way, what its answer has to be, and who gives it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from zfnet_explainer.serving.server import RunningServer

from ..pictures import encoded, noise

PREDICT, EXPLAIN = "/predictions/zfnet", "/explanations/zfnet"
V1_PREDICT, V1_EXPLAIN = "/v1/models/zfnet:predict", "/v1/models/zfnet:explain"
V2_PREDICT, V2_EXPLAIN = "/v2/models/zfnet/infer", "/v2/models/zfnet/explain"
BOUNDARY = "d3adb33f"
# What most cases carry: quick to decode, and sound.
SMALL = encoded(noise(32, 32))


@dataclass(frozen=True)
class Case:
    """A request and its answer's status.

    `code` is the error's: the contract's own, or the exception that TorchServe names in its own shape; None for a
    good answer. `alike` says that it has to be the answer to the picture that the others are made of.
    """

    name: str
    status: int
    code: str | None
    path: str = PREDICT
    content: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    method: str = "POST"
    alike: bool = False


def body(name: str, content: bytes, status: int, code: str | None, **more: Any) -> Case:
    """A raw body."""
    return Case(name, status, code, content=content, **more)


def good(name: str, content: bytes, alike: bool = False) -> Case:
    """A picture that has to be predicted."""
    return Case(name, 200, None, content=content, alike=alike)


def form(
    name: str, fields: Sequence[tuple[str, bytes | str]], status: int, code: str | None, path: str = EXPLAIN
) -> Case:
    """A multipart form of these fields, in this order, repeated ones too."""
    parts = []
    for key, value in fields:
        file = '; filename="f"' if key == "data" else ""
        head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{key}"{file}\r\n\r\n'
        parts.append(head.encode() + (value if isinstance(value, bytes) else value.encode()) + b"\r\n")
    content = b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()
    return Case(name, status, code, path, content, {"content-type": f"multipart/form-data; boundary={BOUNDARY}"})


def document(name: str, content: object, status: int, code: str | None, path: str = V1_PREDICT) -> Case:
    """A JSON body: bytes as they are, everything else written out."""
    written = content if isinstance(content, bytes) else json.dumps(content).encode()
    return Case(name, status, code, path, written, {"content-type": "application/json"})


def workers(server: RunningServer) -> list[int]:
    """The process ids of the server's workers."""
    [model] = httpx.get(f"{server.management_url}/models/zfnet", trust_env=False).json()
    return [worker["pid"] for worker in model["workers"]]
