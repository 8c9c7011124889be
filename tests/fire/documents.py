"""JSON bodies that are wrong in every place one can be, and some that only look so."""

import base64
import json
from collections.abc import Iterator
from typing import Any

from .cases import EXPLAIN, PREDICT, SMALL, V1_EXPLAIN, V1_PREDICT, V2_EXPLAIN, V2_PREDICT, Case, document

B64 = base64.b64encode(SMALL).decode()
INSTANCE = {"data": {"b64": B64}}
MALFORMED = (400, "malformed_body")
SOUND = json.dumps({"instances": [INSTANCE]}).encode()
NO_JSON = {
    "depth 5,000": b'{"instances": ' + b"[" * 5000 + b"]" * 5000 + b"}",
    "objects of depth 5,000": b'{"instances": ' + b'{"a":' * 5000 + b"1" + b"}" * 5001,
    "objects of depth 100,000": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "depth 500,000, never closed": b"{" + b'"a":[' * 500_000,
    "two million empty lists": b'{"instances": [' + b"[]," * 2_000_000 + b"[]]}",
    "cut": SOUND[:-20],
    "trailing comma": SOUND[:-1] + b",}",
    "two documents": SOUND + SOUND,
    "a letter after it": b"{}x",
    "brackets that do not match": b'{"instances": [}',
    "single quotes": SOUND.replace(b'"', b"'"),
    "a comment": b"/**/" + SOUND[:1] + b"//\n" + SOUND[1:],
    "no colon": b'{"instances" []}',
    "a bare word": b'{"instances": undefined}',
    "a brace": b"{",
    "a brace and chance": b"{" + bytes(range(256)),
    "UTF-8 that is none": b'{"instances": "\xff\xfe"}',
    "overlong UTF-8": b'{"instances": "\xc0\xaf"}',
    "control characters in JSON": b'{"instances": "\0\1\2"}',
    "a line's end in JSON": b'{"a": "\n"}',
    "a number of 10,000 digits": b'{"instances": ' + b"9" * 10_000 + b"}",
    "1e999": b'{"instances": 1e999}',
    "NaN": b'{"instances": NaN}',
    "minus infinity": b'{"instances": -Infinity}',
    "half a surrogate": b'{"instances": "\\ud800"}',
    "a name of a megabyte": b'{"' + b"a" * 2**20 + b'": 1}',
    "200,000 names": b"{" + b",".join(b'"%d":1' % i for i in range(200_000)) + b"}",
    "__proto__": b'{"__proto__": {"instances": []}}',
}


def tensor(**more: Any) -> dict[str, Any]:
    """A sound tensor, but for what is given."""
    return {"name": "image", "shape": [1], "datatype": "BYTES", "data": [B64], **more}


HOW_MANY = "`instances` is a list of 1 to 16 pictures"
OUTPUTS = "`outputs` is a list of"
ENVELOPES: dict[str, tuple[dict[str, Any], str]] = {
    "no instances": ({}, HOW_MANY),
    "no instance": ({"instances": []}, HOW_MANY),
    "17 instances": ({"instances": [INSTANCE] * 17}, HOW_MANY),
    "100,000 instances": ({"instances": [0] * 100_000}, HOW_MANY),
    "instances are an object": ({"instances": INSTANCE}, HOW_MANY),
    "instances are text": ({"instances": B64}, HOW_MANY),
    "instances are null": ({"instances": None}, HOW_MANY),
    "instances and inputs": ({"instances": [INSTANCE], "inputs": [tensor()]}, "give either `instances`"),
    "outputs of instances": (
        {"instances": [INSTANCE], "outputs": []},
        "unknown field `outputs`; options go into `parameters`",
    ),
    "instances and a number": ({"instances": [INSTANCE], "inputs": 5}, "give either `instances`"),
    "an unknown field": (
        {"instances": [INSTANCE], "url": "http://169.254.169.254/"},
        "unknown field `url`; options go into `parameters`",
    ),
    "an option beside": (
        {"instances": [INSTANCE], "top_k": 3},
        "unknown field `top_k`; options go into `parameters`",
    ),
    "a strange field": ({"instances": [INSTANCE], "\x00\ud800": 3}, "unknown field `\\x00\\ud800`"),
    "a long field": ({"instances": [INSTANCE], "a" * 500: 3}, f"unknown field `{'a' * 26}"),
    "parameters are a list": ({"instances": [INSTANCE], "parameters": []}, "`parameters` is an object of options"),
    "parameters are text": (
        {"instances": [INSTANCE], "parameters": "top_k=5"},
        "`parameters` is an object of options",
    ),
    "id is a number": ({"inputs": [tensor()], "id": 7}, "`id` is a string"),
    "id is half a surrogate": ({"inputs": [tensor()], "id": "\ud800"}, "`id` is a string"),
    "id has a line's end": ({"inputs": [tensor()], "id": "a\nb"}, "`id` is a string"),
    "outputs are text": ({"inputs": [tensor()], "outputs": "x"}, OUTPUTS),
    "outputs are a number": ({"inputs": [tensor()], "outputs": 5}, OUTPUTS),
    "outputs are names": ({"inputs": [tensor()], "outputs": ["classes"]}, OUTPUTS),
    "an output without a name": ({"inputs": [tensor()], "outputs": [{}]}, OUTPUTS),
    "an output's name is a list": (
        {"inputs": [tensor()], "outputs": [{"name": [[]]}]},
        "a `name` in `outputs` is a string",
    ),
    "another output": ({"inputs": [tensor()], "outputs": [{"name": "secrets"}]}, "there is no output `secrets`"),
}
NO_PICTURES: dict[str, Any] = {
    "base64 of a letter too few": B64[:41],
    "base64 with padding before it": "=" + B64,
    "base64 of letters beyond ASCII": "ÄÖÜ",
    "base64 of half a surrogate": "\ud800",
    "percent signs": "%%%",
    "empty text": "",
    "a data URL without base64": "data:image/png," + B64,
    "a URL": "http://169.254.169.254/",
    "no text": 5,
    "null": None,
    "a list": [B64],
    "an object": {"b64": B64},
}
STRANGE: dict[str, object] = {
    "null": None,
    "a number": 5,
    "text": "x",
    "a list": [],
    "an empty object": {},
    "data is null": {"data": None},
    "data is a list": {"data": []},
    "data is an empty object": {"data": {}},
    "two pictures in one": {"data": B64, "b64": B64},
    "image_bytes are text": {"image_bytes": B64},
    "data is a URL": {"data": {"url": "x"}},
    **{name: {"data": {"b64": text}} for name, text in NO_PICTURES.items()},
}
PIXELS: dict[str, Any] = {"datatype": "UINT8", "shape": [1, 2, 2, 3], "data": [0] * 12}
TENSORS: dict[str, Any] = {
    "no tensor": [],
    "an object": {},
    "null": None,
    "text": "image",
    "null in a list": [None],
    "two tensors": [tensor()] * 2,
    "another name": [tensor(name="picture")],
    "no shape": [{"name": "image", "datatype": "BYTES", "data": [B64]}],
    "a shape of null": [tensor(shape=None)],
    "another shape": [tensor(shape=[2])],
    "a shape of three": [tensor(shape=[1, 1, 1])],
    "a shape of hundreds": [tensor(shape=list(range(1, 500)))],
    "a negative shape": [tensor(shape=[-1])],
    "a shape of 0": [tensor(shape=[0], data=[])],
    "a huge shape": [tensor(shape=[10**400])],
    "a shape of text": [tensor(shape=["1"])],
    "a shape of booleans": [tensor(shape=[True])],
    "a shape with a point": [tensor(shape=[1.0])],
    "data that is text": [tensor(data=B64)],
    "FP32": [tensor(datatype="FP32")],
    "a datatype of null": [tensor(datatype=None)],
    "no datatype": [{"name": "image", "shape": [1], "data": [B64]}],
    "17 encoded pictures": [tensor(shape=[17], data=[B64] * 17)],
    **{f"{name} as data": [tensor(data=[text])] for name, text in NO_PICTURES.items()},
}
NO_PIXELS: dict[str, dict[str, Any]] = {
    "past 255": {"data": [256] * 12},
    "below 0": {"data": [-1] * 12},
    "of text": {"data": ["0"] * 12},
    "with a point": {"data": [0.5] * 12},
    "with a point and nothing after it": {"data": [1.0] * 12},
    "of booleans": {"data": [True] * 12},
    "of null": {"data": [None] * 12},
    "of objects": {"data": [{}] * 12},
    "of 400 digits": {"data": [10**400] * 12},
    "one too few": {"data": [0] * 11},
    "one too many": {"data": [0] * 13},
    "none": {"data": []},
    "ragged": {"data": [[0], [0, 1]]},
    "one in a list": {"data": [[0]] * 11 + [0]},
    "of 17 pictures": {"shape": [17, 1, 1, 3], "data": [0] * 51},
    "without channels": {"shape": [12]},
    "without pictures": {"shape": [2, 2, 3]},
    "of four channels": {"shape": [1, 2, 2, 4], "data": [0] * 16},
    "of terabytes": {"shape": [1, 10**6, 10**6, 3]},
    "of 3,600 megapixels": {"shape": [1, 60_000, 60_000, 3], "data": [0] * 3},
    "of a shape that overflows": {"shape": [1, 2**62, 4, 3]},
    "of a shape of 400 digits": {"shape": [1, 10**400, 1, 3], "data": [0] * 3},
}


def _syntax() -> Iterator[Case]:
    for name, text in NO_JSON.items():
        yield document(name, text, *MALFORMED)
        if text.startswith(b"{"):
            yield document(f"{name} on a route of pictures", text, *MALFORMED, path=PREDICT)
    yield document("the same name twice", SOUND[:-1] + b', "instances": []}', 400, "invalid_option", option="instances")
    wide = SOUND.decode().encode("utf-16")
    yield document("UTF-16 on a route of pictures", wide, 415, "unsupported_image", PREDICT)
    yield document("UTF-16 on a route of JSON", wide, *MALFORMED)
    for name, text in {
        "a list": b"[]",
        "a string": b'"a"',
        "null": b"null",
        "nothing": b"",
        "no UTF-8": b"\xff\xfe{",
        "a picture": SMALL,
    }.items():
        yield document(f"{name} on a route of JSON", text, *MALFORMED, says="this route takes KServe JSON")
    yield document("surrogates that belong together", {"instances": [INSTANCE], "id": "\U0001f41f"}, 200, None)


def _envelope() -> Iterator[Case]:
    for name, (content, says) in ENVELOPES.items():
        yield document(name, content, *MALFORMED, says=says)
    two = {"instances": [INSTANCE] * 2}
    yield document("two instances on a route of one", two, *MALFORMED, path=PREDICT, says="this route answers one")
    yield document("one instance on a route of one", {"instances": [INSTANCE]}, 200, None, path=PREDICT)
    to_v2 = "Open Inference Protocol requests go to /v2/models"
    yield document("V2 on a route of pictures", {"inputs": [tensor()]}, *MALFORMED, path=EXPLAIN, says=to_v2)


def _instances() -> Iterator[Case]:
    """An instance that is wrong has its error in its place, in an answer of 200; alone, its status is the answer's."""
    for name, instance in STRANGE.items():
        yield among(name, instance, "malformed_body", V1_PREDICT)
        yield document(f"{name} alone", {"instances": [instance]}, *MALFORMED)
        yield document(f"{name} on a route of one", {"instances": [instance]}, *MALFORMED, path=PREDICT)
    for name in ("null", "data is a list", "a URL"):
        yield among(f"{name} to explain", STRANGE[name], "malformed_body", V1_EXPLAIN)
    no_picture = {"data": {"b64": base64.b64encode(b"<svg/>").decode()}}
    half = {"data": {"b64": base64.b64encode(SMALL[:200]).decode()}}
    yield among("a path", {"b64": "/etc/passwd"}, "unsupported_image", V1_PREDICT)
    yield among("no picture", no_picture, "unsupported_image", V1_PREDICT)
    yield among("half a picture", half, "undecodable_image", V1_PREDICT)
    yield document("15 instances and a damaged one", {"instances": [INSTANCE] * 15 + [no_picture]}, 200, None)
    yield document("no sound instance", {"instances": [half, {}]}, 422, "undecodable_image")
    yield document("no sound instance to explain", {"instances": [no_picture, half]}, 422, None, V1_EXPLAIN)


def among(name: str, instance: object, inside: str, path: str) -> Case:
    """The instance between two sound ones, with the code of its error."""
    cheap = {"parameters": {"methods": "occlusion", "window": 224}} if path == V1_EXPLAIN else {}
    content = {"instances": [INSTANCE, instance, INSTANCE], **cheap}
    return document(f"{name} among instances", content, 200, None, path, inside=inside)


def _tensors() -> Iterator[Case]:
    for name, inputs in TENSORS.items():
        yield document(f"{name} for tensors", {"inputs": inputs}, *MALFORMED, path=V2_PREDICT)
    for name, wrong in NO_PIXELS.items():
        yield document(f"pixels {name}", {"inputs": [tensor(**PIXELS | wrong)]}, *MALFORMED, path=V2_PREDICT)
    yield document("pixels", {"inputs": [tensor(**PIXELS)]}, 200, None, path=V2_PREDICT)
    broken = [tensor(data=[base64.b64encode(SMALL[:200]).decode()])]
    yield document("half a picture in a tensor", {"inputs": broken}, 422, "undecodable_image", V2_PREDICT)
    path = [tensor(data=["/etc/passwd"])]
    yield document("a path in a tensor", {"inputs": path}, 415, "unsupported_image", V2_PREDICT)
    many = {"inputs": [tensor(shape=[16], data=[B64] * 16)], "parameters": {"features": 16, "methods": "deconv"}}
    yield document("tensors over the limit of an answer", many, 400, "too_much_work", V2_EXPLAIN)
    figure = {"inputs": [tensor()], "parameters": {"format": "png"}}
    yield document("a figure as tensors", figure, 400, "invalid_option", V2_EXPLAIN, option="format")
    figure = {"instances": [INSTANCE], "parameters": {"format": "png"}}
    yield document("a figure as instances", figure, 400, "invalid_option", V1_EXPLAIN, option="format")


CASES = (*_syntax(), *_envelope(), *_instances(), *_tensors())
