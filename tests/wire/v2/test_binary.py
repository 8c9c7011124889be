"""The binary tensor extension against the protocol's own reader and writer."""

import base64
import io
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tritonclient.http import InferenceServerClient
from tritonclient.utils import deserialize_bytes_tensor, serialize_byte_tensor

from tests.samples import encoded, noise
from tests.served import sent, service
from zfnet_explainer.errors import MalformedBody, RequestError
from zfnet_explainer.wire.request import Request, read
from zfnet_explainer.wire.v2.binary import LENGTH_HEADER, elements, packed

SIZE = 224
TEXTS = [b"", b"a", "é".encode(), bytes(range(256)), bytes(70_000)]


def test_more_elements_than_a_request_may_have_are_not_read() -> None:
    with pytest.raises(MalformedBody, match="`data` is a list of 1 to 16 pictures"):
        elements(bytes(4 * 17))
    assert elements(bytes(4 * 16)) == [b""] * 16


def test_elements_are_read_as_the_client_writes_them() -> None:
    assert elements(serialize_byte_tensor(np.array(TEXTS, object)).item()) == TEXTS
    assert elements(b"") == []


@pytest.mark.parametrize("data", [b"\1", b"\1\0\0", b"\1\0\0\0", b"\2\0\0\0a", b"\0\0\0\0\xff\xff\xff\xffab"])
def test_an_element_that_is_cut(data: bytes) -> None:
    with pytest.raises(RequestError, match="ends inside an element"):
        elements(data)


def test_texts_are_written_as_the_client_reads_them() -> None:
    assert list(deserialize_bytes_tensor(packed(["tench", "", "é"]))) == [b"tench", b"", "é".encode()]


@pytest.mark.parametrize("order", ["<", ">"])
def test_numbers_are_written_little_endian(order: str) -> None:
    assert packed(np.array([1, -2], f"{order}i8")) == b"\1" + bytes(7) + b"\xfe" + b"\xff" * 7
    assert packed(np.array([1.5], f"{order}f4")) == b"\0\0\xc0\x3f"


def ask(document: Any, tail: bytes, length: str | None = None) -> Request:
    head = json.dumps(document).encode()
    headers = {"inference-HEADER-content-length": str(len(head)) if length is None else length}
    return read(sent({"body": bytearray(head + tail)}, False, True, **headers), SIZE)


def tensor(size: int, **more: Any) -> dict[str, Any]:
    parameters = {"binary_data_size": size}
    return {
        "inputs": [{"name": "image", "datatype": "UINT8", "shape": [1, 224, 224, 3], "parameters": parameters} | more]
    }


def test_pixels_are_used_as_they_are() -> None:
    pixels = noise()
    [picture] = ask(tensor(pixels.size), pixels.tobytes()).sound
    assert (picture.pixels == pixels).all()


def bytes_tensor(data: bytes) -> Request:
    """A tensor with this one element."""
    tail = serialize_byte_tensor(np.array([data], object)).item()
    return ask(tensor(len(tail), datatype="BYTES", shape=[1, 1]), tail)


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "BMP", "GIF", "TIFF", "WEBP"])
@pytest.mark.parametrize(
    "written",
    [
        bytes,
        base64.b64encode,
        base64.encodebytes,
        base64.urlsafe_b64encode,
        lambda data: base64.b64encode(data).rstrip(b"="),
        lambda data: b"data:image/any;base64," + base64.b64encode(data),
    ],
    ids=["bytes", "base64", "wrapped", "urlsafe", "unpadded", "data URL"],
)
def test_an_element_is_a_picture_or_base64_of_one(written: Callable[[bytes], bytes], file_format: str) -> None:
    file = encoded(noise(), file_format)
    [picture] = bytes_tensor(written(file)).sound
    expected = np.array(Image.open(io.BytesIO(file)).convert("RGB"))  # not all formats keep every value
    assert (picture.pixels == expected).all()


def test_base64_that_is_damaged_is_named_and_other_text_is_no_picture() -> None:
    text = base64.b64encode(encoded(noise()))
    with pytest.raises(RequestError, match=r"not valid base64: `!` after 1,000 characters"):
        bytes_tensor(text[:1000] + b"!" + text[1000:])
    with pytest.raises(RequestError, match=r"not valid base64: `\\xff` after 1,000 characters"):
        bytes_tensor(text[:1000] + b"\xff" + text[1000:])
    for other in (base64.b64encode(b"no picture, but text"), base64.b64encode(text), b"church", text[1:], b"iVB="):
        with pytest.raises(RequestError) as caught:
            bytes_tensor(other)
        assert caught.value.status == 415


@pytest.mark.parametrize(
    ("document", "tail", "message"),
    [
        (tensor(150_528), bytes(150_527), "`binary_data_size` of the tensor `image` is the number of bytes behind"),
        (tensor(150_527), bytes(150_527), "`data` does not have the values of its shape"),
        (tensor(150_528) | {"id": 3}, bytes(150_528), "`id` is a string"),
        (tensor(4, data=[1]), b"abcd", "`binary_data_size` of the tensor `image` is"),
        (tensor(4, parameters={}), b"abcd", "`binary_data_size` of the tensor `image` is"),
        (tensor(4, parameters={"binary_data_size": "4"}), b"abcd", "`binary_data_size` of the tensor `image` is"),
        (tensor(4, parameters={"binary_data_size": True}), b"a", "`binary_data_size` of the tensor `image` is"),
        (tensor(4, datatype="BYTES", shape=[1]), b"\0\0\0\0", "the picture is empty"),
        (tensor(8, datatype="BYTES", shape=[1]), bytes(8), "`shape` [1] does not fit the 2 entries"),
        (tensor(68, datatype="BYTES", shape=[17]), bytes(68), "`data` is a list of 1 to 16 pictures"),
        (tensor(4, datatype="FP32"), b"abcd", "`datatype` of the tensor `image`"),
        ({"instances": []}, b"abcd", "`inputs` holds one tensor named `image`"),
        ([], b"abcd", "`inputs` holds one tensor named `image`"),
    ],
    ids=[
        "a byte is missing",
        "not its shape",
        "a number as id",
        "data in both",
        "no size",
        "size in text",
        "size true",
        "empty",
        "too many entries",
        "too many pictures",
        "other numbers",
        "another protocol",
        "no object",
    ],
)
def test_what_can_be_wrong_is_said_in_the_protocols_shape(document: Any, tail: bytes, message: str) -> None:
    with pytest.raises(RequestError) as caught:
        ask(document, tail)
    assert caught.value.message.startswith(message)
    assert caught.value.answer("id") == {"error": caught.value.message}


@pytest.mark.parametrize("length", ["0", "-1", "1e3", "²", "99999999", "9" * 30, "x"])
def test_a_length_that_is_none(length: str) -> None:
    with pytest.raises(
        RequestError, match=f"the header `{LENGTH_HEADER}` is the length in bytes of the JSON"
    ) as caught:
        ask(tensor(4), b"abcd", length)
    assert caught.value.in_v2


def test_every_tensor_of_an_explanation_is_the_same_in_binary_and_in_json() -> None:
    document = tensor(noise().size) | {"parameters": {"window": 112, "stride": 112, "features": 1}}
    found = []
    for binary in (False, True):
        asked = document | {"parameters": document["parameters"] | {"binary_data_output": binary}}
        head = json.dumps(asked).encode()
        headers = {LENGTH_HEADER: str(len(head))}
        incoming = sent({"body": head + noise().tobytes()}, True, True, **headers)
        [answer] = service().answer([incoming], ["id"])
        length = answer.headers.get(LENGTH_HEADER)
        assert answer.content_type == ("application/octet-stream" if binary else "application/json")
        found.append(
            InferenceServerClient.parse_response_body(answer.body, header_length=int(length) if length else None)
        )
    names = [output["name"] for output in found[0].get_response()["outputs"]]
    assert len(names) > 20
    for name in names:
        plain, packed_ = (one.as_numpy(name) for one in found)
        if name == "classes":
            packed_ = [text.decode() for text in packed_]
        np.testing.assert_array_equal(packed_, plain, err_msg=name)
