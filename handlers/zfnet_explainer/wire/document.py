"""JSON bodies in KServe's two shapes: V1's instances and the Open Inference Protocol's (V2's) tensors."""

import base64
import binascii
import json
import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image

from ..errors import QUOTE, MalformedBody, RequestError, UnusableOption, printable
from ..explanation import Pixels
from ..pictures.decode import MAX_PIXELS, Picture, centre_square, decode

MAX_INSTANCES = 16
# Lists and objects of a body: read, a list of two bytes takes fifty and more. Nested pixels have one each.
MAX_CONTAINERS = 1_000_000
HOW = (
    "send a picture as the body (curl -T dog.jpg), as the multipart field `data` (curl -F data=@dog.jpg), "
    "or as KServe JSON (with the header `Content-Type: application/json`)"
)


def parse(body: Any) -> dict[str, Any] | None:
    """The body as a JSON object; None where it is something else (no picture begins with a brace)."""
    if isinstance(body, Mapping):
        return dict(body)
    text = as_bytes(body)
    if not text[:64].lstrip().startswith(b"{"):
        return None
    if text.count(b"[") + text.count(b"{") > MAX_CONTAINERS:
        raise MalformedBody(
            f"the JSON has more than {MAX_CONTAINERS:,} lists and objects: send pixels as one flat list"
        )
    try:
        return dict(json.loads(text, object_pairs_hook=_once))
    except (ValueError, RecursionError) as error:
        raise MalformedBody(f"the body is not valid JSON: {str(error)[:80]}") from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        counts = Counter(name for name, _ in pairs)
        raise given_twice(counts.most_common(1)[0][0])
    return fields


def parameters(document: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a document whose other fields are known ones."""
    unknown = set(document) - {"instances", "inputs", "parameters", "id", "outputs"}
    if unknown:
        raise MalformedBody(f"unknown field `{printable(min(unknown))}`; options go into `parameters`")
    if "instances" in document and "inputs" in document:
        raise MalformedBody("give either `instances` (KServe V1) or `inputs` (Open Inference Protocol)")
    options = document.get("parameters")
    if options is not None and not isinstance(options, Mapping):
        raise MalformedBody("`parameters` is an object of options")
    return dict(options or {})


def v2_id(document: Mapping[str, Any]) -> str | None:
    """V2's name of the request, which its answer repeats."""
    found = document.get("id")
    if found is not None and not (isinstance(found, str) and found.isprintable()):
        raise MalformedBody("`id` is a string of printable characters")
    return found


def v2_outputs(document: Mapping[str, Any]) -> tuple[str, ...]:
    """Names of the tensors wanted; empty: all."""
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


def v1_pictures(document: Mapping[str, Any], size: int) -> tuple[Picture | RequestError, ...]:
    """V1's pictures, an error in the place of one that cannot be read."""
    pictures: list[Picture | RequestError] = []
    for instance in _count(document.get("instances"), "instances"):
        try:
            pictures.append(decode_picture(_b64(_instance_text(instance)), size))
        except RequestError as error:
            pictures.append(error.detached())
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


def v2_pictures(document: Mapping[str, Any], size: int) -> tuple[Picture | RequestError, ...]:
    """The pictures of V2's tensor `image`, encoded ones or pixels."""
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
        return tuple(decode_picture(_b64(text), size) for text in _count(data, "data"))
    if tensor.get("datatype") == "UINT8":
        return _raw_pictures(shape, data, size)
    raise MalformedBody("`datatype` of the tensor `image` is BYTES (encoded pictures, base64) or UINT8")


def _raw_pictures(shape: list[int], data: list[Any], size: int) -> tuple[Picture, ...]:
    shown = QUOTE.repr(shape)[:60]
    if len(shape) != 4 or shape[3] != 3 or shape[0] > MAX_INSTANCES or math.prod(shape) > 3 * MAX_PIXELS:
        raise MalformedBody(f"`shape` of UINT8 pictures is [1 to {MAX_INSTANCES}, height, width, 3], got {shown}")
    try:
        # As objects: numpy would turn them all into text as long as the longest string among them.
        values = np.array(data, dtype=object).reshape(shape)
    except ValueError as error:
        raise MalformedBody(f"`data` does not have the values of its shape {shown}") from error
    if set(map(type, values.flat)) != {int} or values.min() < 0 or values.max() > 255:
        raise MalformedBody("`data` of a UINT8 tensor holds integers from 0 to 255")
    return tuple(_raw_picture(pixels, size) for pixels in values.astype(np.uint8))


def _raw_picture(pixels: Pixels, size: int) -> Picture:
    square, crop = centre_square(Image.fromarray(pixels), size)
    return Picture(np.array(square), pixels.shape[1], pixels.shape[0], crop)


def decode_picture(encoded: bytes, size: int) -> Picture:
    """`decode`, with a word for a picture that was left out."""
    if not encoded:
        raise MalformedBody(f"the picture is empty: {HOW}")
    return decode(encoded, size)


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
