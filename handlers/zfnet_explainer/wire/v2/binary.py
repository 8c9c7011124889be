"""The Open Inference Protocol's binary tensors: JSON, then every tensor's bytes, little-endian, in order."""

import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import MalformedBody
from ...messages import printable
from ..document import MAX_INSTANCES

LENGTH_HEADER = "Inference-Header-Content-Length"  # bytes of the JSON, in requests and in answers
PREFIX = struct.Struct("<I")  # an element of BYTES begins with its length


def split(body: bytes, length: str) -> tuple[bytes, bytes]:
    """The JSON of a body and the tensors behind it, by the header that says where it ends."""
    count = int(length) if length.isascii() and length.isdigit() and len(length) < 12 else 0
    if not 0 < count <= len(body):
        raise MalformedBody(
            f"the header `{LENGTH_HEADER}` is the length in bytes of the JSON that the body begins with, 1 to "
            f"{len(body):,}, got {printable(length)}"
        )
    return body[:count], body[count:]


def elements(data: bytes) -> list[bytes]:
    """The elements of a BYTES tensor, as many as a request may have."""
    found: list[bytes] = []
    at = 0
    while at < len(data):
        start = at + PREFIX.size
        at = start + PREFIX.unpack_from(data, at)[0] if start <= len(data) else start
        if at > len(data):
            raise MalformedBody(
                "the binary data of the tensor `image` ends inside an element: each is its length, 4 bytes "
                "little-endian, and so many bytes"
            )
        if len(found) == MAX_INSTANCES:
            raise MalformedBody(f"`data` is a list of 1 to {MAX_INSTANCES} pictures")
        found.append(data[start:at])
    return found


def packed(values: NDArray[Any] | Sequence[str]) -> bytes:
    """A tensor's bytes: numbers, or texts with their lengths."""
    if isinstance(values, np.ndarray):
        return values.astype(values.dtype.newbyteorder("<"), copy=False).tobytes()
    texts = [text.encode() for text in values]
    return b"".join(PREFIX.pack(len(text)) + text for text in texts)
