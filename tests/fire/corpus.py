"""All bad and odd requests as one list, how they reach a service without a server, and what every answer has to be."""

import json
import re
from typing import Any

from zfnet_explainer.wire.document import HOW
from zfnet_explainer.wire.request import Incoming

from ..document import SCHEMAS, check
from . import bad_options, bad_pictures, clients, documents, messages, odd_pictures
from .cases import Case, as_bytes

MODULES = (odd_pictures, bad_pictures, bad_options, documents, clients, messages)
CASES: dict[str, Case] = {
    f"{module.__name__.rpartition('.')[2]}: {case.name}": case for module in MODULES for case in module.CASES
}
# What only a server can show: its routes, methods and headers, and how it reads types and forms.
HTTP = {name: case for name, case in CASES.items() if name.startswith("messages: ")}
READ = {name: case for name, case in CASES.items() if name not in HTTP}
# Besides one of each class: what is large on its way, and a picture that has to be turned.
LARGE = (
    "bad_pictures: 21 MiB that begin as PNG",
    "bad_pictures: 20 MiB of zeros after a PNG's signature",
    "documents: two million empty lists",
    "odd_pictures: EXIF 6 PNG",
)
# Paths, tracebacks and addresses of objects.
INTERNALS = re.compile(r"Traceback|File \"|\.py\b|/(home|tmp|usr|opt|run|site-packages)/|\bat 0x|python\d|org\.pytorch")
# What a client is told to do about a picture.
HELP = {
    "too_large": ("send a smaller one", "send fewer at once", "send less at once", "save it again"),
    "unsupported_image": ("send JPEG, PNG, WebP, GIF, BMP or TIFF", "send 8 or 16 bits"),
    "undecodable_image": ("is it complete?", "save it again"),
}


def one_of_each_class() -> dict[str, Case]:
    """The first case of each route, status, code and kind of body, and the large ones."""
    classes: dict[tuple[object, ...], str] = {}
    for name, case in READ.items():
        kind = "form" if case.fields is not None else case.headers.get("content-type") or sorted(case.headers)
        classes.setdefault((case.path, case.status, case.code, case.inside, str(kind)), name)
    return {name: READ[name] for name in sorted({*classes.values(), *LARGE})}


def incoming(case: Case) -> Incoming:
    """The case as the handler hands it over: of a field that was sent several times the list of its values."""
    fields: dict[str, Any] = {}
    for name, value in case.fields or [("body", case.content)]:
        fields.setdefault(name, []).append(bytearray(as_bytes(value)))
    alone = {name: values[0] if len(values) == 1 else values for name, values in fields.items()}
    return Incoming(alone, case.headers, "expla" in case.path, case.path.startswith("/v"))


def judge(case: Case, status: int, content_type: str, body: bytes) -> Any:
    """Raise where an answer is not the case's, or says more than it may; its JSON, if it is that."""
    assert status == case.status, body[:300]
    if status == 200 and content_type == "application/x-npz":
        return None
    assert content_type == "application/json"
    said = json.loads(body)
    if status == 200:
        return said
    assert not INTERNALS.search(body.decode()), body[:500]
    assert len(body) < 2000
    if "type" in said:  # TorchServe's own
        check(SCHEMAS["TorchServeError"], said)
        assert said["type"] == case.code
        return said
    if case.path.startswith("/v") and b'"inputs"' in case.content:
        check(SCHEMAS["ErrorV2"], said)
        assert said["error"].startswith(case.says)
        _judge_message(said["error"])
        return said
    error = next(iter(said.values()))
    error = error[0]["error"] if isinstance(error, list) else error  # the first instance's
    check(SCHEMAS["Error"], {"error": error})
    _judge_error(case, error)
    return said


def _judge_error(case: Case, error: dict[str, str]) -> None:
    message = error["message"]
    assert case.code in (None, error["code"]), error
    assert case.option in (None, error.get("option")), error
    assert message.startswith(case.says)
    assert any(help_ in message for help_ in HELP.get(error["code"], (message,)))
    _judge_message(message)


def _judge_message(message: str) -> None:
    assert message.isprintable()
    assert len(message.removesuffix(HOW)) < 300
    assert len(message.partition(", got ")[2]) <= 60


def judge_instances(case: Case, said: Any) -> None:
    """Raise where the second of three instances is not the one with the case's error."""
    ((first, second, third),) = said.values()
    assert second["error"]["code"] == case.inside
    assert set(second) == {"error"}
    assert "predictions" in first
    assert "predictions" in third
