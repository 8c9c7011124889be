"""A request that is unusual in some way, what its answer has to be, and who gives it."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from zfnet_explainer.torchserve.server import RunningServer

from ..samples import encoded, noise
from ..waiting import wait_for

PREDICT, EXPLAIN = "/predictions/zfnet", "/explanations/zfnet"
V1_PREDICT, V1_EXPLAIN = "/v1/models/zfnet:predict", "/v1/models/zfnet:explain"
V2_PREDICT, V2_EXPLAIN = "/v2/models/zfnet/infer", "/v2/models/zfnet/explain"
BOUNDARY = "d3adb33f"
# What most cases carry: quick to decode, and sound.
SMALL = encoded(noise(32, 32))
# A body, or what makes it when it is sent: not all of them need be in memory, or be made by whoever sends a few.
Made = bytes | Callable[[], bytes]
Fields = Sequence[tuple[str, bytes | str]]


@dataclass(frozen=True)
class Case:
    """A request and its answer's status.

    `code` is the error's: the contract's own, or the exception that TorchServe names in its own shape; None for a
    good answer. `option` is the one that the error names, `says` the beginning of its message. `inside` is the code of
    the error that stands in the place of the second of three instances. `alike` says that the answer has to be that to
    the picture that the others are made of. `fields` are those of a form.
    """

    name: str
    status: int
    code: str | None
    path: str = PREDICT
    made: Made = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    method: str = "POST"
    alike: bool = False
    option: str | None = None
    says: str = ""
    inside: str | None = None
    fields: Fields | None = None

    @property
    def content(self) -> bytes:
        """The body's bytes."""
        return self.made if isinstance(self.made, bytes) else self.made()


def body(name: str, content: Made, status: int, code: str | None, **more: Any) -> Case:
    """A raw body."""
    return Case(name, status, code, made=content, **more)


def good(name: str, content: Made, alike: bool = False) -> Case:
    """A picture that has to be predicted."""
    return Case(name, 200, None, made=content, alike=alike)


def form(name: str, fields: Fields, status: int, code: str | None, path: str = EXPLAIN, **more: Any) -> Case:
    """A multipart form of these fields, in this order, repeated ones too."""
    parts = []
    for key, value in fields:
        file = '; filename="f"' if key == "data" else ""
        head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{key}"{file}\r\n\r\n'
        parts.append(head.encode() + as_bytes(value) + b"\r\n")
    content = b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()
    headers = {"content-type": f"multipart/form-data; boundary={BOUNDARY}"}
    return Case(name, status, code, path, content, headers, fields=tuple(fields), **more)


def document(name: str, content: object, status: int, code: str | None, path: str = V1_PREDICT, **more: Any) -> Case:
    """A JSON body: bytes as they are, everything else written out."""
    written = content if isinstance(content, bytes) else json.dumps(content).encode()
    return Case(name, status, code, path, written, {"content-type": "application/json"}, **more)


def as_bytes(value: bytes | str) -> bytes:
    """A field's value as it is sent."""
    return value if isinstance(value, bytes) else value.encode()


def workers(server: RunningServer) -> list[int]:
    """The process ids of the server's workers."""
    [model] = httpx.get(f"{server.management_url}/models/zfnet", trust_env=False).json()
    return [worker["pid"] for worker in model["workers"]]


def written(server: RunningServer, client: httpx.Client, name: str) -> None:
    """Return once all that the worker said so far is in its log, which it reaches a moment after an answer its client.

    `name` is the id of one more request, the last of which the log then tells.
    """
    assert client.post(PREDICT, content=SMALL, headers={"X-Request-Id": name}).status_code == 200
    log = server.folder.logs / "model_log.log"
    wait_for(lambda: f"request {name}: 200" in log.read_text(errors="replace"), f"{name} is not in the log")


def probabilities(said: Any) -> dict[str, float]:
    """Of an answer's predictions, by label."""
    return {entry["label"]: entry["probability"] for entry in said["predictions"]}
