"""What clients of all kinds send, each in its own way, and options where they would be overlooked."""

import base64
import gzip
import zlib
from collections.abc import Iterator
from functools import partial
from typing import Any

from .cases import PREDICT, SMALL, V1_EXPLAIN, V1_PREDICT, V2_PREDICT, Case, document
from .documents import B64, INSTANCE, MALFORMED, SOUND, among, tensor

# One picture's base64 in all the ways that clients write it; it has + and /, and padding.
WHOLE = base64.b64encode(SMALL + b"\xfb\xff" * 8).decode()
WRITTEN = {
    "base64": WHOLE,
    "URL-safe base64": WHOLE.replace("+", "-").replace("/", "_"),
    "base64 with spaces": WHOLE[:40] + " " + WHOLE[40:],
    "base64 of 76 columns": base64.encodebytes(SMALL).decode(),
    "base64 without padding": WHOLE.rstrip("="),
    "base64 with too much padding": WHOLE + "====",
    "a data URL": "data:image/png;base64," + WHOLE,
    "a data URL with a name": " DATA:image/png;name=a.png;BASE64," + WHOLE,
}
INSTANCES: dict[str, object] = {
    "TorchServe's text": {"data": B64},
    "TensorFlow's bytes": {"b64": B64},
    "TensorFlow's picture": {"image_bytes": {"b64": B64}},
    **{name: {"data": {"b64": text}} for name, text in WRITTEN.items()},
}
ELSEWHERE: dict[str, object] = {
    "an option in an instance": {**INSTANCE, "target": "beagle"},
    "an option in an instance's data": {"data": {"b64": B64, "target": "beagle"}},
}
# What clients of the Open Inference Protocol say beside their tensor.
PROTOCOL: dict[str, dict[str, Any]] = {
    "MLServer's codec and headers": {"parameters": {"content_type": "np", "headers": {}}},
    "KServe's model": {"model_name": "zfnet", "model_version": None, "parameters": {"binary_data_output": False}},
    "Triton's sequence": {"parameters": {"sequence_id": 7, "sequence_start": True, "sequence_end": False}},
    "Triton's priority": {"parameters": {"priority": 2, "timeout": 1000, "binary_data": False}},
    "a tensor's codec": {"inputs": [tensor(parameters={"content_type": "base64"})]},
    "an output's codec": {
        "outputs": [{"name": "classes", "parameters": {"content_type": "str", "binary_data": False}}]
    },
    "parameters of null": {"inputs": [tensor(parameters=None)], "outputs": [{"name": "classes", "parameters": None}]},
}
TO_PARAMETERS = "has no meaning in the `parameters` of"
NOT_PROTOCOL: dict[str, tuple[dict[str, Any], str]] = {
    "an option in a tensor's parameters": (
        {"inputs": [tensor(parameters={"target": "beagle"})]},
        f"`target` {TO_PARAMETERS} the tensor `image`: options go into the request's `parameters`",
    ),
    "an option in a tensor": ({"inputs": [tensor(target=3)]}, "`target` has no meaning in the tensor `image`"),
    "an option in an output": ({"outputs": [{"name": "classes", "top_k": 3}]}, "`top_k` has no meaning in an output"),
    "classification": (
        {"outputs": [{"name": "classes", "parameters": {"classification": 3}}]},
        f"`classification` {TO_PARAMETERS} an output",
    ),
    "shared memory": (
        {"inputs": [tensor(parameters={"shared_memory_region": "a"})]},
        f"`shared_memory_region` {TO_PARAMETERS} the tensor `image`",
    ),
    "a tensor's parameters are text": ({"inputs": [tensor(parameters="x")]}, "`parameters` of the tensor `image`"),
    "an output's parameters are text": ({"outputs": [{"name": "classes", "parameters": "x"}]}, "`parameters` of an"),
    "binary by name": ({"parameters": {"binary_data_output": "yes"}}, "`binary_data_output` is true or false"),
    "bytes that are not there": (
        {"inputs": [tensor(parameters={"binary_data_size": 4})]},
        "`binary_data_size` of the tensor `image` is the number of bytes behind the JSON",
    ),
    "an unknown parameter": ({"parameters": {"colour": 3}}, "unknown option `colour`"),
    "an unknown field of V2": ({"colour": 3}, "unknown field `colour`; options go into `parameters`"),
}


def _json() -> Iterator[Case]:
    for name, text in {
        "a byte order mark": b"\xef\xbb\xbf" + SOUND,
        "a thousand blanks": b" \r\n\t" * 250 + SOUND,
        "a byte order mark and blanks": b"\xef\xbb\xbf\r\n" + SOUND,
    }.items():
        yield document(f"{name} on a route of pictures", text, 200, None, PREDICT)
        yield document(f"{name} on a route of JSON", text, 200, None)


def _instances() -> Iterator[Case]:
    for name, instance in INSTANCES.items():
        yield document(name, {"instances": [instance]}, 200, None)
        yield document(f"{name} on a route of one", {"instances": [instance]}, 200, None, path=PREDICT)
    for name, instance in ELSEWHERE.items():
        yield among(name, instance, "invalid_option", V1_EXPLAIN)
        told = "`target` has no meaning in"
        alone = {"instances": [instance]}
        yield document(f"{name} alone", alone, 400, "invalid_option", V1_EXPLAIN, option="target", says=told)


def _tensors() -> Iterator[Case]:
    for name, text in WRITTEN.items():
        yield document(f"{name} in a tensor", {"inputs": [tensor(data=[text])]}, 200, None, V2_PREDICT)
    for name, taken in PROTOCOL.items():
        yield document(name, {"inputs": [tensor()], **taken}, 200, None, V2_PREDICT)
    for name, (refused, says) in NOT_PROTOCOL.items():
        yield document(name, {"inputs": [tensor()], **refused}, 400, None, V2_PREDICT, says=says)


def _packed() -> Iterator[Case]:
    packed = {"content-encoding": "gzip"}
    sound, picture = gzip.compress(SOUND), gzip.compress(SMALL)
    yield Case("packed JSON", 200, None, V1_PREDICT, sound, {**packed, "content-type": "application/json"})
    yield Case("a packed picture", 200, None, PREDICT, picture, {"Content-Encoding": "GZIP"})
    yield Case("a picture that is not packed", 200, None, PREDICT, SMALL, {"content-encoding": "identity"})
    for name, content in {
        "gzip that is none": SMALL,
        "gzip that is cut": sound[:-30],
        "gzip twice in a row": picture * 2,
        "gzip that is damaged": picture[:-8] + bytes(8),
        "gzip of nothing": b"",
    }.items():
        yield Case(name, *MALFORMED, PREDICT, content, packed)
    for name, mebibytes, told in (("a bomb", 100, "the body unpacks to"), ("a large picture", 21, "the picture has")):
        yield Case(f"gzip of {name}", 413, "too_large", PREDICT, partial(_zeros, mebibytes), packed, says=told)
    for encoding in ("br", "zstd", "deflate", "gzip, gzip", "x\ty"):
        headers = {"content-encoding": encoding}
        told = f"Content-Encoding {encoding.replace(chr(9), chr(92) + 't')} is not read"
        yield Case(f"Content-Encoding {encoding}", 415, "unsupported_encoding", PREDICT, SMALL, headers, says=told)


def _zeros(mebibytes: int) -> bytes:
    packer = zlib.compressobj(1, wbits=31)
    return b"".join(packer.compress(bytes(2**20)) for _ in range(mebibytes)) + packer.flush()


CASES = (*_json(), *_instances(), *_tensors(), *_packed())
