"""The server as the clients of its protocols see it: tritonclient as it is, others by what they send."""

import base64
import gzip
import json
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from tritonclient.http import InferenceServerClient, InferInput, InferRequestedOutput, InferResult
from tritonclient.utils import InferenceServerException

from zfnet_explainer.torchserve.server import RunningServer

from ..samples import SAMPLE, encoded, noise

PICTURE = encoded(noise())
CHEAP = {"methods": "occlusion", "window": 112, "stride": 112}


@pytest.fixture(scope="module")
def triton(server: RunningServer) -> Iterator[InferenceServerClient]:
    client = InferenceServerClient(server.inference_url.removeprefix("http://"), network_timeout=300)
    yield client
    client.close()


@pytest.fixture(scope="module")
def expected(client: httpx.Client) -> NDArray[np.float32]:
    """Probabilities of the picture by class, as /predictions has them."""
    answer = client.post("/predictions/zfnet", files={"data": PICTURE}, data={"top_k": "20"}).json()
    by_class = {p["class_index"]: p["probability"] for p in answer["predictions"]}
    return np.array([by_class[i] for i in range(20)], np.float32)


def image(values: NDArray[Any], datatype: str, binary: bool) -> InferInput:
    tensor = InferInput("image", list(values.shape), datatype)
    tensor.set_data_from_numpy(values, binary_data=binary)
    return tensor


def inputs() -> dict[str, InferInput]:
    """The picture in every way that the client sends one; text is all that its JSON holds."""
    file, text = np.array([PICTURE], object), np.array([base64.b64encode(PICTURE)], object)
    pixels = noise()[None]
    return {
        "a file": image(file, "BYTES", binary=True),
        "base64": image(text, "BYTES", binary=False),
        "pixels": image(pixels, "UINT8", binary=True),
        "pixels in JSON": image(pixels, "UINT8", binary=False),
    }


def check(found: InferResult, expected: NDArray[np.float32], wanted: list[str]) -> None:
    assert [output["name"] for output in found.get_response()["outputs"]] == wanted
    probabilities = found.as_numpy("probabilities")
    assert (probabilities.dtype, probabilities.shape) == (np.float32, (1, 20))
    np.testing.assert_allclose(probabilities[0], expected, atol=1e-6)


def test_triton_finds_it_alive(triton: InferenceServerClient) -> None:
    assert triton.is_server_live()
    assert triton.is_server_ready()
    assert not triton.is_model_ready("zfnet"), "a route that TorchServe has not: the README's limits say so"


@pytest.mark.parametrize("sent", list(inputs()))
@pytest.mark.parametrize("binary", [True, False], ids=["binary", "json"])
def test_triton_infers(triton: InferenceServerClient, expected: NDArray[np.float32], sent: str, binary: bool) -> None:
    names = ["probabilities", "classes"]
    outputs = None if binary else [InferRequestedOutput(name, binary_data=False) for name in names]
    found = triton.infer("zfnet", [inputs()[sent]], outputs=outputs, request_id="a-7")
    check(found, expected, names)
    labels = found.as_numpy("classes")
    assert b"golf ball" in list(labels) if binary else "golf ball" in list(labels)
    assert found.get_response()["id"] == "a-7"
    assert all(("data" in output) != binary for output in found.get_response()["outputs"])


def test_triton_sends_several_and_chooses(triton: InferenceServerClient, expected: NDArray[np.float32]) -> None:
    pictures = np.array([[encoded(noise(seed=1))], [PICTURE]], object)
    outputs = [InferRequestedOutput("probabilities"), InferRequestedOutput("classes", binary_data=False)]
    found = triton.infer("zfnet", [image(pictures, "BYTES", binary=True)], outputs=outputs)
    assert found.as_numpy("probabilities").shape == (2, 20)
    np.testing.assert_allclose(found.as_numpy("probabilities")[1], expected, atol=1e-6)
    assert "data" in found.get_output("classes")
    assert "data" not in found.get_output("probabilities")


def test_triton_sends_all_that_it_can_say(triton: InferenceServerClient, expected: NDArray[np.float32]) -> None:
    found = triton.infer(
        "zfnet",
        [inputs()["a file"]],
        sequence_id=7,
        sequence_start=True,
        priority=1,
        timeout=10**6,
        parameters={"content_type": "np"},
        request_compression_algorithm="gzip",
    )
    check(found, expected, ["probabilities", "classes"])


@pytest.mark.parametrize(
    ("file", "parameters", "status", "message"),
    [
        (PICTURE, {"target": "beagle"}, "400", "unknown option `target` (it is an option of explanations)"),
        (PICTURE, {"top_k": 3}, "400", "`top_k` is about lists of predictions"),
        (b"no picture", {}, "415", "these bytes are not a picture this server reads"),
        (PICTURE[:300], {}, "422", "the PNG picture cannot be decoded"),
    ],
    ids=["option", "place", "text", "cut"],
)
def test_triton_is_told_what_is_wrong(
    triton: InferenceServerClient, file: bytes, parameters: dict[str, str], status: str, message: str
) -> None:
    with pytest.raises(InferenceServerException) as caught:
        triton.infer("zfnet", [image(np.array([file], object), "BYTES", binary=True)], parameters=parameters)
    assert caught.value.status() == status
    assert caught.value.message().startswith(message)


def test_an_explanation_in_binary(client: httpx.Client) -> None:
    """The client has no call for /explain; its request and its reader of answers serve there too."""
    body, length = InferenceServerClient.generate_request_body([inputs()["a file"]], parameters=CHEAP)
    headers = {"inference-header-content-length": str(length)}
    answer = client.post("/v2/models/zfnet/explain", content=body, headers=headers)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/octet-stream")
    at = int(answer.headers["Inference-Header-Content-Length"])
    found = InferenceServerClient.parse_response_body(answer.content, header_length=at)
    body = {"instances": [{"b64": base64.b64encode(PICTURE).decode()}], "parameters": CHEAP}
    [plain] = client.post("/v1/models/zfnet:explain", json=body).json()["explanations"]
    for name in ("target_probability", "feature_activity", "most_probable_class"):
        np.testing.assert_allclose(found.as_numpy(f"occlusion.{name}"), plain["occlusion"][name], rtol=1e-4)
    assert found.as_numpy("image.pixels").dtype == np.int64
    np.testing.assert_array_equal(found.as_numpy("image.pixels"), noise())


def test_curl_sends_json_as_a_form(client: httpx.Client) -> None:
    """As `curl -d @v1.json`: without line ends, under a Content-Type of its own."""
    text = base64.b64encode(SAMPLE.read_bytes()).decode()
    assert "+" in text, "which a form makes a blank of"
    content = json.dumps({"instances": [{"data": {"b64": text}}], "parameters": {"top_k": 1}})
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = client.post("/v1/models/zfnet:predict", content=content, headers=headers)
    assert answer.status_code == 200, answer.text
    [[first]] = [entry["predictions"] for entry in answer.json()["predictions"]]
    assert first["label"] == "church"


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_json_needs_no_content_type(client: httpx.Client, packed: bool) -> None:
    content = json.dumps({"instances": [{"data": base64.encodebytes(PICTURE).decode()}]}).encode()
    headers = {"Content-Encoding": "gzip"} if packed else {}
    answer = client.post(
        "/v1/models/zfnet:predict", content=gzip.compress(content) if packed else content, headers=headers
    )
    assert answer.status_code == 200, answer.text
    assert "error" not in answer.json()["predictions"][0]
