"""Clients whose packages the project's do not go with: what they sent, as tools/clients recorded it, is sent again."""

import base64
import json
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from tritonclient.http import InferenceServerClient

RECORDED = [json.loads(path.read_text()) for path in sorted((Path(__file__).parent / "clients").glob("*.json"))]
OF_THE_CONNECTION = {"host", "connection", "content-length"}


def asked(suffix: str) -> list[Any]:
    """The requests to routes that end so, with their picture, named by client, version and place."""
    return [
        pytest.param(request, recorded["picture"], id=f"{recorded['client']}-{recorded['version']}-{number}")
        for recorded in RECORDED
        for number, request in enumerate(recorded["requests"])
        if request["path"].endswith(suffix)
    ]


def sent(client: httpx.Client, request: dict[str, Any]) -> httpx.Response:
    """Send it once more, byte for byte."""
    headers = [(name, value) for name, value in request["headers"] if name.lower() not in OF_THE_CONNECTION]
    answer = client.request(
        request["method"], request["path"], headers=headers, content=base64.b64decode(request["body"])
    )
    assert answer.status_code == 200, answer.text
    return answer


def predicted(client: httpx.Client, picture: str) -> NDArray[np.float64]:
    """Probabilities by class, as /predictions has them of the picture's file."""
    found = client.post("/predictions/zfnet", files={"data": base64.b64decode(picture)}, data={"top_k": "20"}).json()
    return np.array([one["probability"] for one in sorted(found["predictions"], key=lambda one: one["class_index"])])


@pytest.mark.parametrize(("request_", "picture"), asked("/infer"))
def test_tensors_hold_the_plain_prediction(client: httpx.Client, request_: dict[str, Any], picture: str) -> None:
    answer = sent(client, request_)
    at = answer.headers.get("Inference-Header-Content-Length")
    found = InferenceServerClient.parse_response_body(answer.content, header_length=int(at) if at else None)
    np.testing.assert_allclose(found.as_numpy("probabilities")[0], predicted(client, picture), atol=1e-6)
    assert found.as_numpy("classes").shape == (20,)


@pytest.mark.parametrize(("request_", "picture"), asked(":predict"))
def test_instances_hold_the_plain_prediction(client: httpx.Client, request_: dict[str, Any], picture: str) -> None:
    [entry] = sent(client, request_).json()["predictions"]
    found = [one["probability"] for one in entry["predictions"]]
    np.testing.assert_allclose(found, sorted(predicted(client, picture))[: -1 - len(found) : -1], atol=1e-6)


@pytest.mark.parametrize(("request_", "picture"), asked(":explain"))
def test_instances_are_explained(client: httpx.Client, request_: dict[str, Any], picture: str) -> None:
    [entry] = sent(client, request_).json()["explanations"]
    probabilities = predicted(client, picture)
    assert entry["target"]["class_index"] == np.argmax(probabilities)
    assert entry["occlusion"]["unoccluded"] == pytest.approx(max(probabilities), abs=1e-6)


@pytest.mark.parametrize(("request_", "picture"), asked("/live") + asked("/ready"))
def test_it_is_alive(client: httpx.Client, request_: dict[str, Any], picture: str) -> None:
    del picture
    assert sent(client, request_).json()
