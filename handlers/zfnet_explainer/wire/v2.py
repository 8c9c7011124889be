"""The Open Inference Protocol (KServe's V2): a tensor of pictures, and the tensors wanted in return."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..errors import MalformedBody, of_picture
from ..explanation import Pixels
from ..messages import QUOTE
from ..pictures.decode import MAX_PIXELS
from ..pictures.view import Picture, View, cut
from .binary import LENGTH_HEADER, elements
from .document import MAX_INSTANCES, counted, given_twice, parameters_of, refuse_unknown
from .encoded import decode_picture, from_base64, from_binary

# What clients say to each other's servers: codecs and headers, a sequence's place, how urgent a request is.
PASSED_OVER = {"content_type", "headers"}
PASSED_OVER_IN_REQUESTS = PASSED_OVER | {"sequence_id", "sequence_start", "sequence_end", "priority", "timeout"}
BINARY, ALL_BINARY, SIZE = "binary_data", "binary_data_output", "binary_data_size"
OUTPUTS = '`outputs` is a list of {"name": "..."}'


@dataclass(frozen=True)
class Wanted:
    """What the answer repeats and holds: the request's id, and of which tensors (none named: all) the bytes.

    `tensors` says of each name whether it is wanted in binary, `binary` of those that are not named.
    """

    id: str | None = None
    tensors: Mapping[str, bool] = field(default_factory=dict)
    binary: bool = False

    def has(self, name: str) -> bool:
        return not self.tensors or name in self.tensors

    def in_binary(self, name: str) -> bool:
        return self.tensors.get(name, self.binary)


def split_parameters(given: Mapping[str, Any]) -> tuple[dict[str, Any], bool]:
    """The options among a request's parameters, and whether its answer's tensors are wanted in binary."""
    options = {name: value for name, value in given.items() if name not in PASSED_OVER_IN_REQUESTS}
    asked = [_boolean(name, options.pop(name)) for name in (BINARY, ALL_BINARY) if name in options]
    return options, any(asked)


def wanted(document: Mapping[str, Any], binary: bool) -> Wanted:
    """The id and the tensors that a document asks for, in binary where it does not say otherwise of one."""
    name = document.get("id")
    if name is not None and not (isinstance(name, str) and name.isprintable()):
        raise MalformedBody("`id` is a string of printable characters")
    outputs = document.get("outputs")
    if outputs is not None and not isinstance(outputs, list):
        raise MalformedBody(OUTPUTS)
    tensors: dict[str, bool] = {}
    for tensor, in_binary in (_output(output, binary) for output in outputs or ()):
        if tensor in tensors:
            raise given_twice(tensor)
        tensors[tensor] = in_binary
    return Wanted(name, tensors, binary)


def _output(output: Any, binary: bool) -> tuple[str, bool]:
    if not isinstance(output, Mapping) or "name" not in output:
        raise MalformedBody(OUTPUTS)
    if not isinstance(output["name"], str):
        raise MalformedBody("a `name` in `outputs` is a string")
    refuse_unknown(output, {"name", "parameters", "shape", "datatype"}, "an output")
    given = parameters_of(output, "`parameters` of an output is an object")
    refuse_unknown(given, PASSED_OVER | {BINARY}, "the `parameters` of an output")
    return output["name"], _boolean(BINARY, given.get(BINARY, binary))


def _boolean(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise MalformedBody(f"`{name}` is true or false")
    return value


def v2_pictures(document: Mapping[str, Any], tail: bytes, view: View | int) -> tuple[Picture, ...]:
    """The pictures of the tensor `image`, encoded ones or pixels, in JSON or in the bytes that follow it."""
    tensor = _tensor(document.get("inputs"))
    given = parameters_of(tensor, "`parameters` of the tensor `image` is an object")
    refuse_unknown(given, PASSED_OVER | {SIZE}, "the `parameters` of the tensor `image`")
    shape = tensor.get("shape")
    if not isinstance(shape, list) or not all(type(n) is int and n > 0 for n in shape):
        raise MalformedBody("the tensor `image` needs a `shape`, positive integers")
    data = _data(tensor, given.get(SIZE), tail)
    if tensor.get("datatype") == "BYTES":
        return _encoded_pictures(shape, elements(data) if isinstance(data, bytes) else data, view)
    if tensor.get("datatype") == "UINT8":
        return _raw_pictures(shape, data, view)
    raise MalformedBody("`datatype` of the tensor `image` is BYTES (encoded pictures, base64 in JSON) or UINT8")


def _tensor(inputs: Any) -> Mapping[str, Any]:
    if (
        not isinstance(inputs, list)
        or len(inputs) != 1
        or not isinstance(inputs[0], Mapping)
        or inputs[0].get("name") != "image"
    ):
        raise MalformedBody("`inputs` holds one tensor named `image`")
    refuse_unknown(inputs[0], {"name", "shape", "datatype", "data", "parameters"}, "the tensor `image`")
    return inputs[0]


def _data(tensor: Mapping[str, Any], size: Any, tail: bytes) -> bytes | list[Any]:
    """The bytes behind the JSON where the tensor says that they are its data, else its list."""
    told = 0 if size is None else size
    if type(told) is not int or told != len(tail) or (size is not None and "data" in tensor):
        raise MalformedBody(
            f"`{SIZE}` of the tensor `image` is the number of bytes behind the JSON, in place of `data`: by the header "
            f"`{LENGTH_HEADER}` these are {len(tail):,}"
        )
    if size is not None:
        return tail
    data = tensor.get("data")
    if not isinstance(data, list):
        raise MalformedBody("the tensor `image` needs `data`, a list")
    return data


def _encoded_pictures(shape: list[int], data: Sequence[Any], view: View | int) -> tuple[Picture, ...]:
    if shape not in ([len(data)], [len(data), 1]):
        raise MalformedBody(f"`shape` {QUOTE.repr(shape)[:60]} does not fit the {len(data)} entries of `data`")
    entries = counted(data, "data")
    pictures: list[Picture] = []
    for number, entry in enumerate(entries):
        with of_picture(number, len(entries)):
            encoded = from_binary(entry) if isinstance(entry, bytes) else from_base64(entry)
            decoded = sum(picture.width * picture.height for picture in pictures)
            pictures.append(decode_picture(encoded, view, decoded))
    return tuple(pictures)


def _raw_pictures(shape: list[int], data: bytes | list[Any], view: View | int) -> tuple[Picture, ...]:
    shown = QUOTE.repr(shape)[:60]
    if len(shape) != 4 or shape[3] != 3 or shape[0] > MAX_INSTANCES or math.prod(shape) > 3 * MAX_PIXELS:
        raise MalformedBody(f"`shape` of UINT8 pictures is [1 to {MAX_INSTANCES}, height, width, 3], got {shown}")
    try:
        values = np.frombuffer(data, np.uint8).reshape(shape) if isinstance(data, bytes) else _bytes_of(data, shape)
    except ValueError as error:
        raise MalformedBody(f"`data` does not have the values of its shape {shown}") from error
    return tuple(_raw_picture(pixels, view) for pixels in values)


def _bytes_of(data: list[Any], shape: list[int]) -> NDArray[np.uint8]:
    # As objects: numpy would turn them all into text as long as the longest string among them.
    values = np.array(data, dtype=object).reshape(shape)
    if set(map(type, values.flat)) != {int} or values.min() < 0 or values.max() > 255:
        raise MalformedBody("`data` of a UINT8 tensor holds integers from 0 to 255")
    return values.astype(np.uint8)


def _raw_picture(pixels: Pixels, view: View | int) -> Picture:
    square, crop = cut(Image.fromarray(pixels), view)
    return Picture(np.array(square), pixels.shape[1], pixels.shape[0], crop)
