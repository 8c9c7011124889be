"""JSON bodies that are wrong in every place one can be, and some that only look so."""

import base64
import json
from collections.abc import Iterator
from typing import Any

from .cases import EXPLAIN, PREDICT, SMALL, V1_EXPLAIN, V1_PREDICT, V2_EXPLAIN, V2_PREDICT, Case, document

B64 = base64.b64encode(SMALL).decode()
INSTANCE = {"data": {"b64": B64}}
MALFORMED = (400, "malformed_body")


def _syntax() -> Iterator[Case]:
    sound = json.dumps({"instances": [INSTANCE]}).encode()
    texts = {
        "depth 5,000": b'{"instances": ' + b"[" * 5000 + b"]" * 5000 + b"}",
        "objects of depth 5,000": b'{"instances": ' + b'{"a":' * 5000 + b"1" + b"}" * 5001,
        "depth 500,000, never closed": b"{" + b'"a":[' * 500_000,
        "two million empty lists": b'{"instances": [' + b"[]," * 2_000_000 + b"[]]}",
        "cut": sound[:-20],
        "trailing comma": sound[:-1] + b",}",
        "two documents": sound + sound,
        "single quotes": sound.replace(b'"', b"'"),
        "a comment": b"/**/" + sound[:1] + b"//\n" + sound[1:],
        "no colon": b'{"instances" []}',
        "a bare word": b'{"instances": undefined}',
        "a brace": b"{",
        "a brace and chance": b"{" + bytes(range(256)),
        "UTF-8 that is none": b'{"instances": "\xff\xfe"}',
        "overlong UTF-8": b'{"instances": "\xc0\xaf"}',
        "control characters in JSON": b'{"instances": "\0\1\2"}',
        "a number of 10,000 digits": b'{"instances": ' + b"9" * 10_000 + b"}",
        "1e999": b'{"instances": 1e999}',
        "NaN": b'{"instances": NaN}',
        "minus infinity": b'{"instances": -Infinity}',
        "half a surrogate": b'{"instances": "\\ud800"}',
        "a name of a megabyte": b'{"' + b"a" * 2**20 + b'": 1}',
        "200,000 names": b"{" + b",".join(b'"%d":1' % i for i in range(200_000)) + b"}",
        "__proto__": b'{"__proto__": {"instances": []}}',
    }
    for name, text in texts.items():
        yield document(name, text, *MALFORMED)
    yield document("the same name twice", sound[:-1] + b', "instances": []}', 400, "invalid_option")
    for name, text in {"UTF-16": sound.decode().encode("utf-16"), "a byte order mark": b"\xef\xbb\xbf" + sound}.items():
        yield document(f"{name} on a route of pictures", text, 415, "unsupported_image", PREDICT)
        yield document(f"{name} on a route of JSON", text, *MALFORMED)
    for name, text in {
        "a list": b"[]",
        "a string": b'"a"',
        "null": b"null",
        "nothing": b"",
        "a picture": SMALL,
    }.items():
        yield document(f"{name} on a route of JSON", text, *MALFORMED)
    yield document("space before", b" \r\n\t" + sound, 200, None)
    yield document("surrogates that belong together", {"instances": [INSTANCE], "id": "\U0001f41f"}, 200, None)


def _envelope() -> Iterator[Case]:
    for name, content in {
        "no instances": {},
        "instances and inputs": {"instances": [INSTANCE], "inputs": []},
        "an unknown field": {"instances": [INSTANCE], "url": "http://169.254.169.254/"},
        "parameters are a list": {"instances": [INSTANCE], "parameters": []},
        "parameters are text": {"instances": [INSTANCE], "parameters": "top_k=5"},
        "no instance": {"instances": []},
        "17 instances": {"instances": [INSTANCE] * 17},
        "100,000 instances": {"instances": [0] * 100_000},
        "instances are an object": {"instances": INSTANCE},
        "instances are text": {"instances": B64},
        "id is a number": {"instances": [INSTANCE], "inputs": 5},
    }.items():
        yield document(name, content, *MALFORMED)
    yield document("two instances on a route of one", {"instances": [INSTANCE] * 2}, *MALFORMED, path=PREDICT)
    yield document("one instance on a route of one", {"instances": [INSTANCE]}, 200, None, path=PREDICT)
    yield document("V2 on a route of pictures", {"inputs": [_tensor()]}, *MALFORMED, path=EXPLAIN)
    wrong: dict[str, Any] = {
        "URL-safe base64": B64.replace("+", "-").replace("/", "_") + "-_",
        "base64 with spaces": B64[:40] + " " + B64[40:],
        "base64 with lines": B64[:76] + "\n" + B64[76:],
        "base64 without its end": B64.rstrip("=")[:-1],
        "base64 with too much padding": B64 + "====",
        "base64 of letters beyond ASCII": "ÄÖÜ",
        "a data URL": "data:image/png;base64," + B64,
        "a path": "/etc/passwd",
        "a URL": "http://169.254.169.254/",
        "no text": 5,
        "null": None,
        "an object": {"b64": B64},
    }
    for name, text in wrong.items():
        content = {"instances": [{"data": {"b64": text}}]}
        yield document(f"{name} on a route of one", content, *MALFORMED, path=PREDICT)
        tensor = {**_tensor(), "data": [text]}
        yield document(f"{name} in a tensor", {"inputs": [tensor]}, *MALFORMED, path=V2_PREDICT)


def _instances() -> Iterator[Case]:
    """An instance that is wrong has its error in its place, in an answer of 200."""
    strange: tuple[object, ...] = (
        None,
        5,
        "x",
        [],
        {},
        {"data": None},
        {"data": []},
        {"b64": B64},
        {"data": {"url": "x"}},
    )
    for number, instance in enumerate(strange):
        for path in (V1_PREDICT, V1_EXPLAIN):
            yield document(f"strange instance {number} {path[-7:]}", {"instances": [instance]}, 200, None, path)
    yield document("16 instances, one damaged", {"instances": [INSTANCE] * 15 + [{"data": {"b64": "AAAA"}}]}, 200, None)


def _tensor(**more: Any) -> dict[str, Any]:
    return {"name": "image", "shape": [1], "datatype": "BYTES", "data": [B64], **more}


def _tensors() -> Iterator[Case]:
    pixels = {"datatype": "UINT8", "shape": [1, 2, 2, 3], "data": [0] * 12}
    wrong = {
        "no tensor": [],
        "two tensors": [_tensor()] * 2,
        "another name": [_tensor(name="picture")],
        "no shape": [{"name": "image", "datatype": "BYTES", "data": [B64]}],
        "another shape": [_tensor(shape=[2])],
        "a negative shape": [_tensor(shape=[-1])],
        "a shape of 0": [_tensor(shape=[0], data=[])],
        "a huge shape": [_tensor(shape=[10**400])],
        "a shape of text": [_tensor(shape=["1"])],
        "a shape of booleans": [_tensor(shape=[True])],
        "FP32": [_tensor(datatype="FP32")],
        "no datatype": [{"name": "image", "shape": [1], "data": [B64]}],
        "pixels past 255": [_tensor(**{**pixels, "data": [256] * 12})],
        "pixels below 0": [_tensor(**{**pixels, "data": [-1] * 12})],
        "pixels of text": [_tensor(**{**pixels, "data": ["0"] * 12})],
        "pixels with a point": [_tensor(**{**pixels, "data": [0.5] * 12})],
        "too few pixels": [_tensor(**{**pixels, "data": [0] * 11})],
        "pixels that are ragged": [_tensor(**{**pixels, "data": [[0], [0, 1]]})],
        "17 pictures of pixels": [_tensor(**{**pixels, "shape": [17, 1, 1, 3], "data": [0] * 51})],
        "pixels without channels": [_tensor(**{**pixels, "shape": [12]})],
        "terabytes of pixels": [_tensor(**{**pixels, "shape": [1, 10**6, 10**6, 3]})],
        "a shape that overflows": [_tensor(**{**pixels, "shape": [1, 2**62, 4, 3]})],
        "17 encoded pictures": [_tensor(shape=[17], data=[B64] * 17)],
    }
    for name, inputs in wrong.items():
        yield document(name, {"inputs": inputs}, *MALFORMED, path=V2_PREDICT)
    for name, outputs in {"another output": [{"name": "secrets"}], "outputs are text": "x", "no name": [{}]}.items():
        yield document(name, {"inputs": [_tensor()], "outputs": outputs}, *MALFORMED, path=V2_PREDICT)
    yield document("an id with a line's end", {"id": "a\nb", "inputs": [_tensor()]}, *MALFORMED, path=V2_PREDICT)
    yield document("pixels", {"inputs": [_tensor(**pixels)]}, 200, None, path=V2_PREDICT)
    broken = [_tensor(data=[base64.b64encode(SMALL[:200]).decode()])]
    yield document("half a picture in a tensor", {"inputs": broken}, 422, "undecodable_image", V2_PREDICT)
    many = {"inputs": [_tensor(shape=[16], data=[B64] * 16)], "parameters": {"features": 16, "methods": "deconv"}}
    yield document("tensors over the limit of an answer", many, 400, "too_much_work", V2_EXPLAIN)
    figure = {"inputs": [_tensor()], "parameters": {"format": "png"}}
    yield document("a figure as tensors", figure, 400, "invalid_option", V2_EXPLAIN)


CASES = (*_syntax(), *_envelope(), *_instances(), *_tensors())
