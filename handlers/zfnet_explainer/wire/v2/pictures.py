"""The pictures of an Open Inference Protocol request: a tensor of encoded ones or of pixels."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import MalformedBody, of_picture
from ...messages import QUOTE
from ...pictures.view import Picture, View, of_pixels
from ...pictures.work import MAX_PIXELS, Work
from ..document import MAX_INSTANCES, counted, parameters_of, refuse_unknown
from ..encoded import decode_picture, from_base64, from_binary
from .binary import LENGTH_HEADER, elements
from .wanted import PASSED_OVER

SIZE = "binary_data_size"


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
    entries = counted(_flat(data) if len(shape) == 2 else data, "data")
    pictures, work = list[Picture](), Work()
    for number, entry in enumerate(entries):
        with of_picture(number, len(entries)):
            encoded = from_binary(entry) if isinstance(entry, bytes) else from_base64(entry)
            pictures.append(decode_picture(encoded, view, work))
    return tuple(pictures)


def _flat(rows: Sequence[Any]) -> list[Any]:
    """The entries of [n, 1], each by itself or in a list as numpy's `tolist` nests them."""
    return [row[0] if isinstance(row, list) and len(row) == 1 else row for row in rows]


def _raw_pictures(shape: list[int], data: bytes | list[Any], view: View | int) -> tuple[Picture, ...]:
    shown = QUOTE.repr(shape)[:60]
    if len(shape) != 4 or shape[3] != 3 or shape[0] > MAX_INSTANCES or math.prod(shape) > 3 * MAX_PIXELS:
        raise MalformedBody(f"`shape` of UINT8 pictures is [1 to {MAX_INSTANCES}, height, width, 3], got {shown}")
    try:
        values = np.frombuffer(data, np.uint8).reshape(shape) if isinstance(data, bytes) else _bytes_of(data, shape)
    except ValueError as error:
        raise MalformedBody(f"`data` does not have the values of its shape {shown}") from error
    return tuple(of_pixels(pixels, view) for pixels in values)


def _bytes_of(data: list[Any], shape: list[int]) -> NDArray[np.uint8]:
    # As objects: numpy would turn them all into text as long as the longest string among them.
    values = np.array(data, dtype=object).reshape(shape)
    if set(map(type, values.flat)) != {int} or values.min() < 0 or values.max() > 255:
        raise MalformedBody("`data` of a UINT8 tensor holds integers from 0 to 255")
    return values.astype(np.uint8)
