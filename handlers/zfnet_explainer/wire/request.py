"""One request as the server hands it over -> the pictures and the options it carries."""

import base64
import binascii
import json
import math
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from PIL import Image

from ..explanation import Pixels
from .errors import QUOTE, MalformedBody, RequestError, UnusableOption, printable
from .image import MAX_PIXELS, Picture, centre_square, decode
from .options import accepted_format

MAX_INSTANCES = 16
HEADER_PREFIX = "x-explain-"
HOW = (
    "send a picture as the body (curl -T dog.jpg), as the multipart field `data` (curl -F data=@dog.jpg), "
    "or as KServe JSON"
)

Protocol = Literal["plain", "v1", "v2"]


@dataclass(frozen=True)
class Incoming:
    """A request before it is read: `fields` by name ("body" for a raw one), headers as sent.

    `explain` says which of the two was called; `kserve` whether it came by a /v1 or /v2 route.
    """

    fields: Mapping[str, Any]
    headers: Mapping[str, str]
    explain: bool
    kserve: bool

    def header(self, name: str) -> str:
        """The header's value, in whatever case the client wrote its name; empty where it is absent."""
        return next((str(v) for k, v in self.headers.items() if k.lower() == name), "")

    @property
    def wants_page(self) -> bool:
        """Whether a browser opened the explanations' address: nothing is sent and HTML is what it likes best."""
        empty = set(self.fields) <= {"body"} and not self.fields.get("body")
        return self.explain and not self.kserve and empty and accepted_format(self.header("accept")) == "html"


@dataclass(frozen=True)
class Request:
    """What was sent: a picture or an error for each instance, options as written, the answer's shape.

    `accept` is the Accept header; `id` and `outputs` (the tensors wanted; empty: all) are Open
    Inference Protocol's; `seconds` were spent reading.
    """

    explain: bool
    protocol: Protocol
    pictures: tuple[Picture | RequestError, ...]
    options: Mapping[str, Any]
    accept: str
    id: str | None
    outputs: tuple[str, ...]
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
    id: str | None = None
    outputs: tuple[str, ...] = ()


def read(incoming: Incoming, size: int) -> Request:
    """Read a request. Raises RequestError where all of it is wrong; a bad V1 instance stands in its place."""
    start = time.perf_counter()
    body = _read_body(incoming, size)
    options = _header_options(incoming.headers)
    _merge(options, body.options)
    return Request(
        incoming.explain,
        body.protocol,
        body.pictures,
        options,
        incoming.header("accept"),
        body.id,
        body.outputs,
        time.perf_counter() - start,
    )


def _read_body(incoming: Incoming, size: int) -> Body:
    if set(incoming.fields) != {"body"}:
        return _read_form(incoming.fields, size)
    body = incoming.fields["body"]
    document = _document(body)
    if document is not None:
        return _read_document(document, incoming.kserve, size)
    if incoming.kserve:
        raise MalformedBody(
            'this route takes KServe JSON: {"instances": [{"data": {"b64": "..."}}]} or {"inputs": [...]}'
        )
    return Body("plain", (_decode(_bytes(body), size),), {})


def _read_form(fields: Mapping[str, Any], size: int) -> Body:
    if "data" not in fields:
        raise MalformedBody(f"the form has no field `data`: {HOW}")
    options = {name: _text(name, value) for name, value in fields.items() if name != "data"}
    return Body("plain", (_decode(_bytes(fields["data"]), size),), options)


def _read_document(document: dict[str, Any], kserve: bool, size: int) -> Body:
    options = _parameters(document)
    if "inputs" in document:
        if not kserve:
            raise MalformedBody("Open Inference Protocol requests go to /v2/models/<model>/infer or /explain")
        return Body("v2", _tensor_pictures(document, size), options, _id(document), _outputs(document))
    pictures = _instances(document, size)
    if kserve:
        return Body("v1", pictures, options)
    if len(pictures) > 1:
        raise MalformedBody(
            "this route answers one picture; several `instances` go to /v1/models/<model>:predict or :explain"
        )
    if isinstance(pictures[0], RequestError):
        raise pictures[0]
    return Body("plain", pictures, options)


def _header_options(headers: Mapping[str, str]) -> dict[str, Any]:
    options: dict[str, Any] = {}
    for name, value in headers.items():
        if name.lower().startswith(HEADER_PREFIX):
            _merge(options, {name.lower().removeprefix(HEADER_PREFIX).replace("-", "_"): value})
    return options


def _merge(options: dict[str, Any], more: Mapping[str, Any]) -> None:
    for name, value in more.items():
        if name in options:
            raise _twice(name)
        options[name] = value


def _twice(name: str) -> UnusableOption:
    return UnusableOption(f"`{printable(name)}` is given twice", printable(name))


def _bytes(body: Any) -> bytes:
    if isinstance(body, str):
        return body.encode(errors="replace")
    if isinstance(body, bytes | bytearray | memoryview):
        return bytes(body)
    raise MalformedBody('a JSON body is an object: {"instances": [{"data": {"b64": "..."}}]}')


def _text(name: str, value: Any) -> str:
    try:
        return _bytes(value).decode()
    except (UnicodeDecodeError, MalformedBody) as error:
        raise UnusableOption(f"`{printable(name)}` is not text", printable(name)) from error


def _document(body: Any) -> dict[str, Any] | None:
    """The body as a JSON object; None where it is something else (no picture begins with a brace)."""
    if isinstance(body, Mapping):
        return dict(body)
    text = _bytes(body)
    if not text[:64].lstrip().startswith(b"{"):
        return None
    try:
        return dict(json.loads(text, object_pairs_hook=_once))
    except (ValueError, RecursionError) as error:
        raise MalformedBody(f"the body is not valid JSON: {str(error)[:80]}") from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        counts = Counter(name for name, _ in pairs)
        raise _twice(counts.most_common(1)[0][0])
    return fields


def _parameters(document: Mapping[str, Any]) -> dict[str, Any]:
    unknown = set(document) - {"instances", "inputs", "parameters", "id", "outputs"}
    if unknown:
        raise MalformedBody(f"unknown field `{printable(min(unknown))}`; options go into `parameters`")
    if "instances" in document and "inputs" in document:
        raise MalformedBody("give either `instances` (KServe V1) or `inputs` (Open Inference Protocol)")
    parameters = document.get("parameters")
    if parameters is not None and not isinstance(parameters, Mapping):
        raise MalformedBody("`parameters` is an object of options")
    return dict(parameters or {})


def _id(document: Mapping[str, Any]) -> str | None:
    found = document.get("id")
    if found is not None and not (isinstance(found, str) and found.isprintable()):
        raise MalformedBody("`id` is a string of printable characters")
    return found


def _outputs(document: Mapping[str, Any]) -> tuple[str, ...]:
    outputs = document.get("outputs")
    if outputs is None:
        return ()
    try:
        if not isinstance(outputs, list):
            raise TypeError("not a list")
        names = [output["name"] for output in outputs]
    except (KeyError, TypeError) as error:
        raise MalformedBody('`outputs` is a list of {"name": "..."}') from error
    if not all(isinstance(name, str) for name in names):
        raise MalformedBody("a `name` in `outputs` is a string")
    return tuple(names)


def _count(entries: Any, name: str) -> list[Any]:
    if not isinstance(entries, list) or not 1 <= len(entries) <= MAX_INSTANCES:
        raise MalformedBody(f"`{name}` is a list of 1 to {MAX_INSTANCES} pictures")
    return entries


def _instances(document: Mapping[str, Any], size: int) -> tuple[Picture | RequestError, ...]:
    pictures: list[Picture | RequestError] = []
    for instance in _count(document.get("instances"), "instances"):
        try:
            pictures.append(_decode(_b64(_instance_text(instance)), size))
        except RequestError as error:
            pictures.append(error)
    return tuple(pictures)


def _instance_text(instance: Any) -> Any:
    try:
        return instance["data"]["b64"]
    except (KeyError, TypeError, IndexError) as error:
        raise MalformedBody('an instance is {"data": {"b64": "<base64 of an encoded picture>"}}') from error


def _b64(text: Any) -> bytes:
    try:
        if not isinstance(text, str):
            raise ValueError("not a string")
        return base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error) as error:
        raise MalformedBody(f"a picture is not valid base64: {error}") from error


def _tensor_pictures(document: Mapping[str, Any], size: int) -> tuple[Picture | RequestError, ...]:
    inputs = document["inputs"]
    if (
        not isinstance(inputs, list)
        or len(inputs) != 1
        or not isinstance(inputs[0], Mapping)
        or inputs[0].get("name") != "image"
    ):
        raise MalformedBody("`inputs` holds one tensor named `image`")
    tensor = inputs[0]
    shape, data = tensor.get("shape"), tensor.get("data")
    if not isinstance(shape, list) or not all(type(n) is int and n > 0 for n in shape) or not isinstance(data, list):
        raise MalformedBody("the tensor `image` needs `shape`, positive integers, and `data`, a list")
    if tensor.get("datatype") == "BYTES":
        if shape not in ([len(data)], [len(data), 1]):
            raise MalformedBody(f"`shape` {QUOTE.repr(shape)[:60]} does not fit the {len(data)} entries of `data`")
        return tuple(_decode(_b64(text), size) for text in _count(data, "data"))
    if tensor.get("datatype") == "UINT8":
        return _raw_pictures(shape, data, size)
    raise MalformedBody("`datatype` of the tensor `image` is BYTES (encoded pictures, base64) or UINT8")


def _raw_pictures(shape: list[int], data: list[Any], size: int) -> tuple[Picture, ...]:
    shown = QUOTE.repr(shape)[:60]
    if len(shape) != 4 or shape[3] != 3 or shape[0] > MAX_INSTANCES or math.prod(shape) > 3 * MAX_PIXELS:
        raise MalformedBody(f"`shape` of UINT8 pictures is [1 to {MAX_INSTANCES}, height, width, 3], got {shown}")
    try:
        values = np.array(data).reshape(shape)
    except ValueError as error:
        raise MalformedBody(f"`data` does not have the values of its shape {shown}") from error
    if values.dtype.kind not in "iu" or values.min() < 0 or values.max() > 255:
        raise MalformedBody("`data` of a UINT8 tensor holds integers from 0 to 255")
    return tuple(_raw_picture(pixels, size) for pixels in values.astype(np.uint8))


def _raw_picture(pixels: Pixels, size: int) -> Picture:
    square, crop = centre_square(Image.fromarray(pixels), size)
    return Picture(np.array(square), pixels.shape[1], pixels.shape[0], crop)


def _decode(encoded: bytes, size: int) -> Picture:
    if not encoded:
        raise MalformedBody(f"the picture is empty: {HOW}")
    return decode(encoded, size)
