"""Every way a request can arrive, and everything that can be wrong with its envelope."""

import base64
import gzip
import io
import json
import reprlib
import sys
import tracemalloc
from collections.abc import Mapping
from types import FrameType
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.samples import encoded, noise
from tests.served import sent, service
from zfnet_explainer.errors import (
    MalformedBody,
    RequestError,
    TooLarge,
    UndecodableImage,
    UnsupportedImage,
    UnusableOption,
)
from zfnet_explainer.pictures import work
from zfnet_explainer.pictures.view import Crop, Picture
from zfnet_explainer.wire import body
from zfnet_explainer.wire.request import Incoming, Request, read
from zfnet_explainer.wire.v2.binary import LENGTH_HEADER
from zfnet_explainer.wire.v2.wanted import Wanted

PIXELS = noise(240, 230)
PNG = encoded(PIXELS)
B64 = base64.b64encode(PNG).decode()
V1 = {"instances": [{"data": {"b64": B64}}]}
BYTES = {"name": "image", "datatype": "BYTES", "shape": [1], "data": [B64]}
SIZE = 224


def ask(fields: Mapping[str, Any], kserve: bool = False, headers: Mapping[str, str] | None = None) -> Request:
    return read(sent(fields, True, kserve, **headers or {}), SIZE)


def ask_json(document: Any) -> Request:
    return ask({"body": bytearray(json.dumps(document).encode())}, kserve=True)


def refusal(fields: Mapping[str, Any], kserve: bool = False) -> RequestError:
    with pytest.raises(RequestError) as caught:
        ask(fields, kserve)
    assert caught.value.message.isprintable()
    return caught.value


def malformed(document: Any) -> str:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    error = refusal({"body": bytearray(body)}, kserve=True)
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
    ("encoding", "packed"),
    [("deflate", b"{}"), ("gzip", b"{}"), ("gzip", gzip.compress(bytes(body.MAX_UNPACKED + 1), 1))],
    ids=["deflate", "broken", "too large"],
)
@pytest.mark.parametrize("headers", [{LENGTH_HEADER: "9"}, {}], ids=["v2", "v1"])
def test_a_body_that_is_not_unpacked_is_refused_as_the_protocol_says(
    encoding: str, packed: bytes, headers: Mapping[str, str]
) -> None:
    for kserve in (True, False):
        with pytest.raises(RequestError) as caught:
            ask({"body": packed}, kserve, {"Content-Encoding": encoding, **headers})
        assert isinstance(caught.value.answer("id")["error"], str) is (kserve and bool(headers))


def test_an_option_in_headers_of_two_cases_is_given_twice() -> None:
    with pytest.raises(UnusableOption, match="`top_k` is given twice"):
        ask({"body": PNG}, headers={"X-Explain-Top-K": "2", "x-explain-top-k": "2"})


@pytest.mark.parametrize("in_v2", [True, False], ids=["v2", "v1"])
def test_an_option_in_a_header_and_among_parameters_is_refused_as_the_protocol_says(in_v2: bool) -> None:
    document = ({"inputs": [BYTES]} if in_v2 else V1) | {"parameters": {"window": 9}}
    with pytest.raises(UnusableOption, match="`window` is given twice") as caught:
        ask({"body": json.dumps(document).encode()}, kserve=True, headers={"X-Explain-Window": "9"})
    assert isinstance(caught.value.answer("id")["error"], str) is in_v2


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
    ids=reprlib.repr,
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


@pytest.mark.parametrize("name", ["x\ny", "\ud800", "a" * 500], ids=reprlib.repr)
def test_names_are_told_printably(name: str) -> None:
    error = refusal({"data": PNG, name: b"\xff"})
    assert error.option is not None
    assert error.option.isprintable()
    assert len(error.option) <= 60
    assert len(malformed({"instances": [], name: 1})) < 120


def test_one_of_very_many_keys_that_is_given_twice() -> None:
    """Each compared with each other would take seconds."""
    keys = [f'"{i}":0' for i in range(9_999)]
    error = refusal({"body": ("{" + ",".join([*keys, keys[-1]]) + "}").encode()})
    assert error.message == "`9998` is given twice"


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


# Open Inference Protocol


def tensor(pixels: Any, shape: list[int], **more: Any) -> dict[str, Any]:
    return {"inputs": [{"name": "image", "datatype": "UINT8", "shape": shape, "data": pixels, **more}]}


def test_v2_bytes() -> None:
    request = ask_json({"id": "a-1", "inputs": [BYTES], "outputs": [{"name": "classes"}], "parameters": {"top_k": 1}})
    only(request)
    assert (request.protocol, request.wanted) == ("v2", Wanted("a-1", {"classes": False}))
    assert request.options == {"top_k": 1}


def test_v2_without_what_is_optional() -> None:
    request = ask_json({"inputs": [BYTES], "id": None, "outputs": None, "parameters": None})
    assert (request.wanted, request.options) == (Wanted(), {})


@pytest.mark.parametrize("data", [[B64, B64], [[B64], [B64]]], ids=["flat", "nested"])
def test_v2_bytes_of_two_dimensions(data: list[Any]) -> None:
    assert len(ask_json({"inputs": [BYTES | {"shape": [2, 1], "data": data}]}).sound) == 2


def test_v2_bytes_of_one_dimension_are_not_nested() -> None:
    assert "it is not a string" in malformed({"inputs": [BYTES | {"data": [[B64]]}]})


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


# Bodies that came packed, or as a form


def packed(content: bytes) -> Request:
    return ask({"body": content}, headers={"content-ENCODING": "gzip"})


def test_a_packed_picture() -> None:
    assert only(packed(gzip.compress(PNG))).width == 230


def test_a_bomb_costs_no_more_than_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body, "MAX_UNPACKED", 2**20)
    bomb = gzip.compress(bytes(2**26))
    tracemalloc.start()
    with pytest.raises(TooLarge, match="unpacks to more than 1,048,576 bytes"):
        packed(bomb)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 * 2**20


def test_as_much_as_the_bound_is_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    content = PNG + bytes(2**20 - len(PNG))
    monkeypatch.setattr(body, "MAX_UNPACKED", len(content))
    only(packed(gzip.compress(content)))
    with pytest.raises(TooLarge):
        packed(gzip.compress(content + b"\0"))


@pytest.mark.parametrize("name", ["gzip", "br"])
def test_a_form_is_not_packed(name: str) -> None:
    with pytest.raises(RequestError, match="a form is read as it is") as caught:
        ask({"data": PNG}, headers={"Content-Encoding": name})
    assert (caught.value.status, caught.value.code) == (415, "unsupported_encoding")


def as_form(text: str) -> dict[str, bytearray]:
    """What TorchServe makes of a body that is called a form: name and value to the first =, blanks for +."""
    found: dict[str, bytearray] = {}
    for part in text.replace("+", " ").split("&"):
        name, _, value = part.partition("=")
        found[name] = bytearray(value.encode())
    return found


@pytest.mark.parametrize("end", range(3), ids=["no-padding", "one", "two"])
@pytest.mark.parametrize("kserve", [True, False])
def test_json_that_came_as_a_form(end: int, kserve: bool) -> None:
    """The file's base64 has +, and = where it does not end with a whole group."""
    content = PNG + b"\xfb\xef\xbe" * 4 + bytes(-(len(PNG) + 12) % 3) + bytes(end)
    text = base64.b64encode(content).decode()
    assert "++++" in text
    document = {"instances": [{"data": {"b64": text}}], "parameters": {"target": "golf ball"}}
    request = ask(as_form(json.dumps(document)), kserve)
    only(request)
    assert request.options == {"target": "golf ball"}


def test_tensors_that_came_as_a_form() -> None:
    document = {"inputs": [BYTES], "outputs": [{"name": "classes"}]}
    assert only(ask(as_form(json.dumps(document)), kserve=True)).width == 230


@pytest.mark.parametrize(
    "text", ['{"instances": ["a&b"]}', '{"a": 1}&{"a": 1}', '{"instances": [=', " {", '{"a":' * 5_000], ids=range(5)
)
def test_json_that_cannot_be_had_back_from_a_form(text: str) -> None:
    for kserve in (True, False):
        error = refusal(as_form(text), kserve)
        assert error.code == "malformed_body"


def test_a_string_in_json_that_came_as_a_form_costs_the_same_however_deep_it_is() -> None:
    """A step each, not one for every list around it."""
    text = '{"a": ' + 800 * "[" + ", ".join(1000 * ['""']) + 800 * "]" + "}"
    steps = 0

    def count(_: FrameType, event: str, __: object) -> None:
        nonlocal steps
        steps += event == "call"

    sys.setprofile(count)
    try:
        refusal(as_form(text))
    finally:
        sys.setprofile(None)
    assert steps < 20_000


@pytest.mark.parametrize("target", ["C++", "++C", "C++ 20", "C+"])
def test_an_option_whose_plus_a_form_took_is_refused(target: str) -> None:
    """Else it may name another class."""
    document = {"instances": [{"data": B64.rstrip("=")}], "parameters": {"target": target}}
    assert ask({"body": json.dumps(document).encode()}, kserve=True).options == {"target": target}
    for kserve in (True, False):
        assert "`Content-Type: application/json`" in refusal(as_form(json.dumps(document)), kserve).message


def test_a_name_whose_plus_a_form_took_is_refused_wherever_it_stands() -> None:
    document = {"inputs": [BYTES], "outputs": [{"name": "C++"}]}
    assert "`Content-Type: application/json`" in refusal(as_form(json.dumps(document)), kserve=True).message


def test_quotes_in_an_option_are_no_lost_plus() -> None:
    document = {"instances": [{"data": B64}], "parameters": {"target": 'a "big" dog'}}
    assert ask(as_form(json.dumps(document)), kserve=True).options == {"target": 'a "big" dog'}


def test_the_header_to_send_is_named() -> None:
    assert "send the header `Content-Type: application/json`" in refusal(as_form('{"instances": ["a&b"]}')).message


def test_headers_in_any_case() -> None:
    assert Incoming({}, {"aCCept": "x"}, True, False).header("accept") == "x"
    assert Incoming({}, {}, True, False).header("accept") == ""


@pytest.mark.parametrize(
    ("sent_id", "kept"),
    [("Batch_7.picture-1", True), ("x" * 64, True), ("x" * 65, False), ("", False), ("a b", False), ("a\n", False)],
)
def test_an_id_is_taken_over_where_a_log_can_hold_it(sent_id: str, kept: bool) -> None:
    assert Incoming({}, {"X-REQUEST-id": sent_id}, True, False).sent_id == (sent_id if kept else None)


@pytest.mark.parametrize("blanks", [" ", "\t\r\n"])
def test_a_long_run_of_blanks_is_an_empty_picture_at_once(blanks: str) -> None:
    """A pattern that is tried anew from each of them takes an hour."""
    (found,) = ask_json({"instances": [{"data": {"b64": blanks * 2**20}}]}).pictures
    assert isinstance(found, MalformedBody)
    assert found.message.startswith("the picture is empty")


def test_a_request_has_so_many_megapixels_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many pictures it has: the one after those that are too many is not decoded."""
    with Image.open(io.BytesIO(PNG)) as image:
        monkeypatch.setattr(work, "MAX_PIXELS", image.width * image.height / work.MAX_TOGETHER)
    pictures = ask_json({"instances": [{"data": {"b64": B64}}] * 3}).pictures
    assert isinstance(pictures[0], Picture)
    for refused in pictures[1:]:
        assert isinstance(refused, RequestError)
        assert (refused.status, refused.code) == (413, "too_large")
        assert refused.message.startswith("the pictures of a request have at most")
    cut = base64.b64encode(PNG[:-2000]).decode()
    kinds = [type(one) for one in ask_json({"instances": [{"data": {"b64": cut}}] * 2}).pictures]
    assert kinds == [UndecodableImage, TooLarge], "what was gone through in vain counts, too"
    tensor = {**BYTES, "shape": [3], "data": [B64] * 3}
    assert refusal({"body": bytearray(json.dumps({"inputs": [tensor]}).encode())}, kserve=True).message.startswith(
        "picture 1, counted from 0: the pictures of a request have"
    )


def test_a_requests_jpegs_have_so_many_scans_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of them takes a pass over the picture, so that small files may take minutes."""
    buffer = io.BytesIO()
    Image.fromarray(PIXELS).save(buffer, "JPEG", progressive=True)
    progressive = base64.b64encode(buffer.getvalue()).decode()
    scans = buffer.getvalue().count(b"\xff\xda")
    assert scans > 4
    monkeypatch.setattr(work, "MAX_SCANNED_PIXELS", scans * PIXELS[..., 0].size / work.MAX_TOGETHER)
    instances = [{"data": {"b64": one}} for one in (progressive, progressive, B64)]
    first, second, third = ask_json({"instances": instances}).pictures
    assert isinstance(first, Picture)
    for refused in (second, third):
        assert isinstance(refused, TooLarge)
        assert refused.message == (
            "the pictures of a request have too many scans together: send fewer at once, or save the JPEGs again, not "
            "progressive"
        )


def test_names_beyond_counting_are_not_read() -> None:
    assert malformed({"instances": [], **{f"name {n}": 0 for n in range(10_001)}}).startswith(
        "the JSON has more than 10,000 names"
    )


def test_an_options_text_is_short() -> None:
    served = service()
    for name, value in (("layer", "1," * 5000), ("target", "a " * 5000)):
        [answer] = served.answer([sent({"data": PNG, name: value}, True)], ["id"])
        assert answer.status == 400
        assert f"`{name}` must be a text of at most 8,192 characters" in json.loads(answer.body)["error"]["message"]
