"""Every way a request can arrive, and everything that can be wrong with its envelope."""

import base64
import json
import time
import tracemalloc
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from tests.pictures import encoded, noise
from tests.served import sent
from zfnet_explainer.wire.errors import MalformedBody, RequestError, UnsupportedImage, UnusableOption
from zfnet_explainer.wire.image import Crop, Picture
from zfnet_explainer.wire.request import Incoming, Request, read

PIXELS = noise(240, 230)
PNG = encoded(PIXELS)
B64 = base64.b64encode(PNG).decode()
V1 = {"instances": [{"data": {"b64": B64}}]}
BYTES = {"name": "image", "datatype": "BYTES", "shape": [1], "data": [B64]}
SIZE = 224


def ask(fields: Mapping[str, Any], kserve: bool = False, headers: Mapping[str, str] | None = None) -> Request:
    return read(sent(fields, True, kserve, **headers or {}), SIZE)


def ask_json(document: Any, kserve: bool = True) -> Request:
    return ask({"body": bytearray(json.dumps(document).encode())}, kserve)


def refusal(fields: Mapping[str, Any], kserve: bool = False) -> RequestError:
    with pytest.raises(RequestError) as caught:
        ask(fields, kserve)
    assert caught.value.message.isprintable()
    return caught.value


def malformed(document: Any, kserve: bool = True) -> str:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    error = refusal({"body": bytearray(body)}, kserve)
    assert type(error) is MalformedBody
    assert (error.status, error.code) == (400, "malformed_body")
    return error.message


def only(request: Request) -> Picture:
    [picture] = request.pictures
    assert isinstance(picture, Picture)
    assert picture.crop == Crop(5, 0, 230, 230)
    return picture


# The plain routes


@pytest.mark.parametrize(
    "fields",
    [
        {"body": bytearray(PNG)},
        {"body": PNG},
        {"data": bytearray(PNG)},
        {"body": V1},
        {"body": bytearray(json.dumps(V1).encode())},
        {"body": json.dumps(V1)},
        {"body": b" \n\t" + json.dumps(V1).encode()},
    ],
    ids=["raw", "bytes", "field", "v1-dict", "v1-bytes", "v1-text", "v1-spaces"],
)
def test_one_picture(fields: Mapping[str, Any]) -> None:
    request = ask(fields, headers={"Accept": "image/png"})
    assert only(request).width == 230
    assert (request.protocol, request.options, request.accept) == ("plain", {}, "image/png")
    assert request.seconds > 0


def test_options_come_from_form_header_and_json() -> None:
    form = {"data": PNG, "layer": bytearray(b"4"), "target": "beagle", "fill": bytearray("é".encode())}
    assert ask(form).options == {"layer": "4", "target": "beagle", "fill": "é"}
    assert ask({"body": PNG}, headers={"X-Explain-Top-K": "3", "x-EXPLAIN-window": "9", "X-Other": "1"}).options == {
        "top_k": "3",
        "window": "9",
    }
    assert ask_json({**V1, "parameters": {"stride": 4, "images": False}}).options == {"stride": 4, "images": False}


@pytest.mark.parametrize(
    ("fields", "headers"),
    [
        ({"data": PNG, "top_k": b"2"}, {"X-Explain-Top-K": "2"}),
        ({"body": V1 | {"parameters": {"top_k": 2}}}, {"x-explain-top_k": "2"}),
        ({"body": PNG}, {"X-Explain-Top-K": "2", "x-explain-top-k": "2"}),
        ({"body": PNG}, {"X-Explain-Top-K": "2", "X-Explain-Top_K": "2"}),
        ({"body": b'{"instances": [], "parameters": {"top_k": 1, "top_k": 1}}'}, {}),
    ],
    ids=["header-and-field", "header-and-json", "two-cases", "dash-and-underscore", "json-twice"],
)
def test_an_option_given_twice_is_refused_though_it_agrees(fields: Mapping[str, Any], headers: dict[str, str]) -> None:
    with pytest.raises(UnusableOption, match="`top_k` is given twice") as caught:
        ask(fields, headers=headers)
    assert (caught.value.status, caught.value.option) == (400, "top_k")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "the form has no field `data`"),
        ({"image": PNG}, "the form has no field `data`"),
        ({"file": PNG, "layer": b"4"}, "the form has no field `data`"),
        ({"body": PNG, "layer": b"4"}, "the form has no field `data`"),
        ({"body": b""}, "the picture is empty"),
        ({"body": bytearray()}, "the picture is empty"),
        ({"body": ""}, "the picture is empty"),
        ({"data": b""}, "the picture is empty"),
        ({"body": [V1]}, "a JSON body is an object"),
        ({"body": 3}, "a JSON body is an object"),
        ({"body": True}, "a JSON body is an object"),
        ({"body": None}, "a JSON body is an object"),
        ({"data": 10**12}, "a JSON body is an object"),
    ],
    ids=repr,
)
def test_a_request_without_a_picture(fields: Mapping[str, Any], message: str) -> None:
    error = refusal(fields)
    assert type(error) is MalformedBody
    assert error.message.startswith(message)


@pytest.mark.parametrize("body", ["hello", "\ud800", b"\xff\xfe{", b"[1, 2]", b"null", b'"text"'], ids=ascii)
def test_what_is_no_picture_is_said_to_be_none(body: Any) -> None:
    assert type(refusal({"body": body})) is UnsupportedImage
    assert type(refusal({"body": body}, kserve=True)) is MalformedBody


def test_a_field_that_is_not_text() -> None:
    error = refusal({"data": PNG, "target": b"\xff\xfe"})
    assert (error.code, error.option, error.message) == ("invalid_option", "target", "`target` is not text")


@pytest.mark.parametrize("name", ["x\ny", "\ud800", "a" * 500], ids=ascii)
def test_names_are_told_printably(name: str) -> None:
    error = refusal({"data": PNG, name: b"\xff"})
    assert error.option is not None
    assert error.option.isprintable()
    assert len(error.option) <= 60
    assert len(malformed({"instances": [], name: 1})) < 120


def test_a_picture_on_a_kserve_route() -> None:
    assert refusal({"body": PNG}, kserve=True).message.startswith("this route takes KServe JSON")


# JSON


@pytest.mark.parametrize(
    "text",
    [
        b"{",
        b"{}x",
        b'{"instances": [}',
        b'{"instances": "\xff"}',
        b'{"a": "\n"}',
        b'{"a":' * 5_000 + b"1" + b"}" * 5_000,
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        b'{"a":' + b"[" * 100_000,
        b'{"a": 1' + b"0" * 5_000 + b"}",
    ],
    ids=["open", "more", "bracket", "not-utf-8", "control", "deep-5000", "deep-100000", "deep-list", "5000-digits"],
)
@pytest.mark.parametrize("kserve", [False, True], ids=["plain", "kserve"])
def test_json_that_is_none(text: bytes, kserve: bool) -> None:
    assert len(malformed(text, kserve)) < 160


def test_a_million_keys_and_one_twice_cost_little() -> None:
    keys = [f'"{i}":0' for i in range(300_000)]
    start = time.perf_counter()
    error = refusal({"body": ("{" + ",".join([*keys, keys[-1]]) + "}").encode()})
    assert error.message == "`299999` is given twice"
    assert time.perf_counter() - start < 5


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({}, "`instances` is a list of 1 to 16 pictures"),
        ({"instances": []}, "`instances` is a list of 1 to 16 pictures"),
        ({"instances": {}}, "`instances` is a list of 1 to 16 pictures"),
        ({"instances": None}, "`instances` is a list of 1 to 16 pictures"),
        ({"instances": [1] * 17}, "`instances` is a list of 1 to 16 pictures"),
        ({**V1, "inputs": [BYTES]}, "give either `instances`"),
        ({**V1, "parameters": []}, "`parameters` is an object of options"),
        ({**V1, "parameters": "top_k=1"}, "`parameters` is an object of options"),
        ({**V1, "top_k": 3}, "unknown field `top_k`; options go into `parameters`"),
        ({**V1, "\x00\ud800": 3}, "unknown field `\\x00\\ud800`"),
        ({"inputs": [BYTES], "id": 7}, "`id` is a string"),
        ({"inputs": [BYTES], "id": "\ud800"}, "`id` is a string"),
        ({"inputs": [BYTES], "outputs": ["classes"]}, "`outputs` is a list of"),
        ({"inputs": [BYTES], "outputs": [{}]}, "`outputs` is a list of"),
        ({"inputs": [BYTES], "outputs": 5}, "`outputs` is a list of"),
        ({"inputs": [BYTES], "outputs": [{"name": [[]]}]}, "a `name` in `outputs` is a string"),
    ],
    ids=lambda value: str(value)[:40].encode("ascii", "replace").decode() if isinstance(value, dict) else "",
)
def test_an_envelope_that_is_wrong(document: Any, message: str) -> None:
    assert malformed(document).startswith(message)


# KServe V1


@pytest.mark.parametrize("form", ["dict", "bytes", "str"])
def test_v1_with_and_without_a_content_type(form: str) -> None:
    text = json.dumps(V1)
    body = {"dict": V1, "bytes": bytearray(text.encode()), "str": text}[form]
    request = ask({"body": body}, kserve=True)
    assert request.protocol == "v1"
    only(request)


def test_v1_takes_sixteen() -> None:
    request = ask_json({"instances": V1["instances"] * 16})
    assert len(request.sound) == 16


WRONG_INSTANCES = [
    "text",
    7,
    None,
    [],
    {},
    {"data": B64},
    {"data": []},
    {"data": {}},
    {"data": {"b64": 5}},
    {"data": {"b64": None}},
    {"data": {"b64": [B64]}},
    {"data": {"b64": "%%%"}},
    {"data": {"b64": "=" + B64}},
    {"data": {"b64": B64[:-3]}},
    {"data": {"b64": "é"}},
    {"data": {"b64": "\ud800"}},
    {"data": {"b64": ""}},
    {"b64": B64},
]


@pytest.mark.parametrize("instance", WRONG_INSTANCES, ids=lambda value: ascii(value)[:30])
def test_a_wrong_instance_stands_in_its_place(instance: Any) -> None:
    first, wrong, last = ask_json({"instances": [*V1["instances"], instance, *V1["instances"]]}).pictures
    assert type(wrong) is MalformedBody
    assert isinstance(first, Picture)
    assert isinstance(last, Picture)
    malformed({"instances": [instance]}, kserve=False)


def test_an_instance_that_is_no_picture_stands_in_its_place() -> None:
    text = {"data": {"b64": base64.b64encode(b"<svg/>").decode()}}
    picture, svg = ask_json({"instances": [*V1["instances"], text]}).pictures
    assert isinstance(picture, Picture)
    assert type(svg) is UnsupportedImage


def test_several_instances_on_a_plain_route() -> None:
    assert "this route answers one picture" in malformed({"instances": V1["instances"] * 2}, kserve=False)


# Open Inference Protocol


def tensor(pixels: Any, shape: list[int], **more: Any) -> dict[str, Any]:
    return {"inputs": [{"name": "image", "datatype": "UINT8", "shape": shape, "data": pixels, **more}]}


def test_v2_bytes() -> None:
    request = ask_json({"id": "a-1", "inputs": [BYTES], "outputs": [{"name": "classes"}], "parameters": {"top_k": 1}})
    only(request)
    assert (request.protocol, request.id, request.outputs) == ("v2", "a-1", ("classes",))
    assert request.options == {"top_k": 1}


def test_v2_without_what_is_optional() -> None:
    request = ask_json({"inputs": [BYTES], "id": None, "outputs": None, "parameters": None})
    assert (request.id, request.outputs, request.options) == (None, (), {})


def test_v2_bytes_of_two_dimensions() -> None:
    assert len(ask_json({"inputs": [BYTES | {"shape": [2, 1], "data": [B64, B64]}]}).sound) == 2


@pytest.mark.parametrize("nested", [False, True], ids=["flat", "nested"])
def test_v2_pixels_are_used_as_they_are(nested: bool) -> None:
    pictures = np.stack([noise(seed=1), noise(seed=2)])
    data = (pictures if nested else pictures.reshape(-1)).tolist()
    request = ask_json(tensor(data, [2, SIZE, SIZE, 3]))
    assert all((p.pixels == pixels).all() for p, pixels in zip(request.sound, pictures, strict=True))
    assert [p.crop for p in request.sound] == [Crop(0, 0, SIZE, SIZE)] * 2


def test_v2_pixels_of_another_size_are_cropped_and_resized_like_the_same_picture() -> None:
    pixels = noise(40, 61)
    [picture] = ask_json(tensor(pixels.reshape(-1).tolist(), [1, 40, 61, 3])).sound
    [other] = ask({"body": encoded(pixels)}).sound
    assert (picture.width, picture.height, picture.crop) == (other.width, other.height, other.crop)
    assert (picture.pixels == other.pixels).all()


@pytest.mark.parametrize(
    "inputs",
    [
        [],
        {},
        None,
        "image",
        [None],
        [BYTES, BYTES],
        [BYTES | {"name": "images"}],
        [BYTES | {"shape": None}],
        [BYTES | {"shape": [0], "data": []}],
        [BYTES | {"shape": [-1]}],
        [BYTES | {"shape": [True]}],
        [BYTES | {"shape": [1.0]}],
        [BYTES | {"shape": [2]}],
        [BYTES | {"shape": [1, 1, 1]}],
        [BYTES | {"shape": [10**400]}],
        [BYTES | {"shape": list(range(1, 500))}],
        [BYTES | {"shape": [17], "data": [B64] * 17}],
        [BYTES | {"data": B64}],
        [BYTES | {"data": [7]}],
        [BYTES | {"data": [""]}],
        [BYTES | {"data": ["%"]}],
        [BYTES | {"datatype": "FP32"}],
        [BYTES | {"datatype": None}],
    ],
    ids=lambda value: str(value)[-40:],
)
def test_v2_inputs_that_are_wrong(inputs: Any) -> None:
    assert len(malformed({"inputs": inputs})) < 200


@pytest.mark.parametrize(
    ("shape", "data"),
    [
        ([1, 2, 2, 3], [0] * 11),
        ([1, 2, 2, 3], [0] * 13),
        ([1, 2, 2, 3], []),
        ([1, 2, 2, 3], [256] * 12),
        ([1, 2, 2, 3], [-1] * 12),
        ([1, 2, 2, 3], [1.0] * 12),
        ([1, 2, 2, 3], ["1"] * 12),
        ([1, 2, 2, 3], [True] * 12),
        ([1, 2, 2, 3], [None] * 12),
        ([1, 2, 2, 3], [[0]] * 11 + [0]),
        ([1, 2, 2, 3], [10**400] * 12),
        ([1, 2, 2, 3], [{}] * 12),
        ([1, 2, 2, 4], [0] * 16),
        ([2, 2, 3], [0] * 12),
        ([12], [0] * 12),
        ([17, 1, 1, 3], [0] * 51),
        ([1, 10**400, 1, 3], [0] * 3),
        ([1, 60_000, 60_000, 3], [0] * 3),
    ],
    ids=str,
)
def test_v2_pixels_that_are_wrong(shape: list[int], data: list[Any]) -> None:
    assert len(malformed(tensor(data, shape))) < 160


def test_v2_text_among_pixels_costs_no_more_than_its_own_length() -> None:
    """Numpy's own type for both together would be as many texts as there are entries, each as long as the longest."""
    text = "x" * 100_000
    tracemalloc.start()
    malformed(tensor([text, *[1] * 299], [1, 10, 10, 3]))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10 * len(text)


def test_v2_pixels_nested_without_end() -> None:
    data: Any = 0
    for _ in range(300):
        data = [data]
    assert "`data`" in malformed(tensor(data, [1, 1, 1, 3]))


def test_v2_on_a_plain_route() -> None:
    assert "go to /v2/models" in malformed({"inputs": [BYTES]}, kserve=False)


def test_headers_in_any_case() -> None:
    assert Incoming({}, {"aCCept": "x"}, True, False).header("accept") == "x"
    assert Incoming({}, {}, True, False).header("accept") == ""


@pytest.mark.parametrize(
    ("sent_id", "kept"),
    [("Batch_7.picture-1", True), ("x" * 64, True), ("x" * 65, False), ("", False), ("a b", False), ("a\n", False)],
)
def test_an_id_is_taken_over_where_a_log_can_hold_it(sent_id: str, kept: bool) -> None:
    assert Incoming({}, {"X-REQUEST-id": sent_id}, True, False).sent_id == (sent_id if kept else None)
