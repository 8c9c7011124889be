"""One request as the server hands it over -> the pictures and the options it carries."""

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ..errors import MalformedBody, RequestError, UnsupportedEncoding, UnusableOption, told_in
from ..messages import printable
from ..pictures.view import Picture, View
from .accept import accepted_format
from .body import json_of_form, unpacked
from .document import HOW, as_bytes, given_twice, parameters, parse
from .encoded import decode_picture
from .v1 import v1_pictures
from .v2.binary import LENGTH_HEADER, split
from .v2.pictures import v2_pictures
from .v2.wanted import Wanted, split_parameters, wanted

HEADER_PREFIX = "x-explain-"
SANE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
Protocol = Literal["plain", "v1", "v2"]
KSERVE = (
    'this route takes KServe JSON: {"instances": [{"data": {"b64": "..."}}]} or {"inputs": [...]}, '
    "with the header `Content-Type: application/json`"
)


@dataclass(frozen=True)
class Incoming:
    """A request before it is read: `fields` by name ("body" for a raw one), headers as sent.

    A field that was sent several times is the list of its values. `explain` says which of the two was
    called; `kserve` whether it came by a /v1 or /v2 route.
    """

    fields: Mapping[str, Any]
    headers: Mapping[str, str]
    explain: bool
    kserve: bool

    def header(self, name: str) -> str:
        """The header's value, in whatever case the client wrote its name; empty where it is absent."""
        return next((str(v) for k, v in self.headers.items() if k.lower() == name), "")

    @property
    def sent_id(self) -> str | None:
        """The id that the client or a gateway gave the request, where it can stand in a log as it is."""
        sent = self.header("x-request-id")
        return sent if SANE_ID.fullmatch(sent) else None

    @property
    def json_length(self) -> str:
        """The header that says how long the JSON is of an Open Inference Protocol's request; empty elsewhere."""
        return self.header(LENGTH_HEADER.lower()) if self.kserve else ""

    @property
    def wants_page(self) -> bool:
        """Whether a browser opened the explanations' address: HTML is what it likes best, and nothing is sent.

        TorchServe says neither the method nor whether a body was announced: a length of 0 it adds itself.
        """
        empty = set(self.fields) <= {"body"} and not self.fields.get("body") and not self.header("content-type")
        bare = empty and not any(name.lower().startswith(HEADER_PREFIX) for name in self.headers)
        return self.explain and not self.kserve and bare and accepted_format(self.header("accept")) == "html"


@dataclass(frozen=True)
class Request:
    """What was sent: a picture or an error for each instance, options as written, the answer's shape.

    `accept` is the Accept header; `wanted` is what the Open Inference Protocol lets a client say of the answer;
    `seconds` were spent reading.
    """

    explain: bool
    protocol: Protocol
    pictures: tuple[Picture | RequestError, ...]
    options: Mapping[str, Any]
    accept: str
    wanted: Wanted
    seconds: float

    @property
    def sound(self) -> list[Picture]:
        """The pictures that could be read: all of them, but for V1."""
        return [p for p in self.pictures if isinstance(p, Picture)]


@dataclass(frozen=True)
class Body:
    """What a body held: pictures and options, before the request's own headers join them."""

    protocol: Protocol
    pictures: tuple[Picture | RequestError, ...]
    options: Mapping[str, Any]
    wanted: Wanted = field(default_factory=Wanted)


def read(incoming: Incoming, view: View | int) -> Request:
    """Read a request. Raises RequestError where all of it is wrong; a bad V1 instance stands in its place."""
    start = time.perf_counter()
    with told_in("v2" if incoming.json_length else "plain"):
        body = _read_body(incoming, view)
    with told_in(body.protocol):
        options = _header_options(incoming.headers)
        _merge(options, body.options)
    return Request(
        incoming.explain,
        body.protocol,
        body.pictures,
        options,
        incoming.header("accept"),
        body.wanted,
        time.perf_counter() - start,
    )


def _read_body(incoming: Incoming, view: View | int) -> Body:
    encoding = incoming.header("content-encoding")
    if set(incoming.fields) == {"body"}:
        return _read_raw(incoming, unpacked(incoming.fields["body"], encoding), view)
    document = json_of_form(incoming.fields)
    if document is not None:
        return _read_document(document, incoming.kserve, view)
    if incoming.kserve:
        raise MalformedBody(KSERVE)
    if encoding:
        raise UnsupportedEncoding("a form is read as it is: leave the header Content-Encoding out")
    return _read_form(incoming.fields, view)


def _read_raw(incoming: Incoming, body: Any, view: View | int) -> Body:
    if incoming.json_length and not isinstance(body, Mapping):
        text, tail = split(as_bytes(body), incoming.json_length)
        return _read_v2(parse(text) or {}, view, tail)
    document = parse(body)
    if document is not None:
        return _read_document(document, incoming.kserve, view)
    if incoming.kserve:
        raise MalformedBody(KSERVE)
    return Body("plain", (decode_picture(as_bytes(body), view),), {})


def _read_form(fields: Mapping[str, Any], view: View | int) -> Body:
    for name, value in fields.items():
        if isinstance(value, list):
            raise given_twice(name)
    if "data" not in fields:
        raise MalformedBody(f"the form has no field `data`: {HOW}")
    options = {name: _text(name, value) for name, value in fields.items() if name != "data"}
    return Body("plain", (decode_picture(as_bytes(fields["data"]), view),), options)


def _read_document(document: dict[str, Any], kserve: bool, view: View | int) -> Body:
    if "inputs" in document:
        if not kserve:
            raise MalformedBody("Open Inference Protocol requests go to /v2/models/<model>/infer or /explain")
        with told_in("v2"):
            return _read_v2(document, view, b"")
    options = parameters(document)
    pictures = v1_pictures(document, view)
    if kserve:
        return Body("v1", pictures, options)
    if len(pictures) > 1:
        raise MalformedBody(
            "this route answers one picture; several `instances` go to /v1/models/<model>:predict or :explain"
        )
    if isinstance(pictures[0], RequestError):
        raise pictures[0]
    return Body("plain", pictures, options)


def _read_v2(document: dict[str, Any], view: View | int, tail: bytes) -> Body:
    options, binary = split_parameters(parameters(document))
    return Body("v2", v2_pictures(document, tail, view), options, wanted(document, binary))


def _header_options(headers: Mapping[str, str]) -> dict[str, Any]:
    options: dict[str, Any] = {}
    for name, value in headers.items():
        if name.lower().startswith(HEADER_PREFIX):
            _merge(options, {name.lower().removeprefix(HEADER_PREFIX).replace("-", "_"): value})
    return options


def _merge(options: dict[str, Any], more: Mapping[str, Any]) -> None:
    for name, value in more.items():
        if name in options:
            raise given_twice(name)
        options[name] = value


def _text(name: str, value: Any) -> str:
    try:
        return as_bytes(value).decode()
    except (UnicodeDecodeError, MalformedBody) as error:
        raise UnusableOption(f"`{printable(name)}` is not text", printable(name)) from error
