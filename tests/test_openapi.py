"""deploy/openapi.yaml and the code say the same of requests, answers and errors, in both directions."""

import base64
import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from openapi_spec_validator import validate

from zfnet_explainer.errors import RequestError
from zfnet_explainer.service.answer import Answer
from zfnet_explainer.service.service import Service
from zfnet_explainer.service.settings import Limits
from zfnet_explainer.wire import options
from zfnet_explainer.wire.document import MAX_INSTANCES, V1_FIELDS, V2_FIELDS
from zfnet_explainer.wire.request import Incoming
from zfnet_explainer.wire.v2 import wanted
from zfnet_explainer.wire.v2.binary import LENGTH_HEADER
from zfnet_explainer.wire.v2.pictures import SIZE

from .document import DOCUMENT, SCHEMAS, SERVED, check, response
from .samples import encoded, noise
from .served import SMALL, sent, service

PNG = encoded(noise())
B64 = base64.b64encode(PNG).decode()
TENSORS = [{"name": "image", "shape": [1], "datatype": "BYTES", "data": [B64]}]
PREDICT, EXPLAIN = "/predictions/zfnet", "/explanations/zfnet"


@pytest.fixture(scope="module")
def served() -> Service:
    return service()


def check_answer(path: str, answer: Answer) -> Any:
    """Raise where the answer is not as documented; its JSON, if it is that."""
    media_type = answer.content_type.partition(";")[0]
    schema = response(path, answer.status)["content"][media_type]["schema"]
    if media_type != "application/json":
        return None
    body = json.loads(answer.body)
    check(schema, body)
    return body


def ask(served: Service, path: str, fields: Mapping[str, Any], **headers: str) -> Any:
    explain = "expla" in path
    (answer,) = served.answer([sent(fields, explain, path.startswith("/v"), **headers)], ["id"])
    return answer.status, check_answer(path, answer)


def test_is_openapi() -> None:
    validate(DOCUMENT)


# Requests


def examples() -> Iterator[tuple[str, dict[str, Any]]]:
    """The JSON bodies that the document shows."""
    for path, operations in SERVED.items():
        reference = operations["post"]["requestBody"]["content"]["application/json"]["schema"]["$ref"]
        for example in SCHEMAS[reference.rpartition("/")[2]]["examples"]:
            yield path, example


@pytest.mark.parametrize(("path", "example"), list(examples()))
def test_the_documents_examples_are_answered(served: Service, path: str, example: dict[str, Any]) -> None:
    content = DOCUMENT["paths"][path]["post"]["requestBody"]["content"]["application/json"]
    check(content["schema"], example)
    status, answer = ask(served, path, {"body": json.dumps(example).encode()})
    assert status == 200
    assert "error" not in json.dumps(answer)


def test_an_id_is_of_no_effect_in_v1_as_documented(served: Service) -> None:
    for path in (PREDICT, "/v1/models/zfnet:predict"):
        body = {"id": "mine", "instances": [{"data": B64}]}
        schema = DOCUMENT["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
        check(schema, body)
        status, answer = ask(served, path, {"body": json.dumps(body).encode()})
        assert status == 200
        assert "mine" not in json.dumps(answer)
    for name in ("PredictV1", "ExplainV1", "PredictOneV1", "ExplainOneV1"):
        assert set(SCHEMAS[name]["properties"]) == V1_FIELDS


def test_the_number_of_instances_is_the_codes() -> None:
    for name in ("PredictV1", "ExplainV1"):
        assert SCHEMAS[name]["properties"]["instances"]["maxItems"] == MAX_INSTANCES


# Answers


def unanswered(schema: Any, values: list[Any], where: str = "") -> Iterator[str]:
    """Properties of the schema that no value has; what an empty list would hold counts as answered."""
    while "$ref" in schema:
        schema = SCHEMAS[schema["$ref"].rpartition("/")[2]]
    for name, inner in schema.get("properties", {}).items():
        found = [value[name] for value in values if name in value]
        if values and not found:
            yield f"{where}.{name}"
        yield from unanswered(inner, found, f"{where}.{name}")
    if "items" in schema:
        yield from unanswered(schema["items"], [entry for value in values for entry in value], f"{where}[]")


def test_a_prediction_has_every_documented_field_and_no_other(served: Service) -> None:
    status, answer = ask(served, PREDICT, {"body": PNG})
    assert status == 200
    assert list(unanswered(SCHEMAS["Prediction"], [answer])) == []


def test_an_explanation_has_every_documented_field_and_no_other(served: Service) -> None:
    status, answer = ask(
        served, EXPLAIN, {"data": PNG, **SMALL, "layer": "1,5", "crosscheck": "captum", "contrast": "second"}
    )
    assert status == 200
    assert list(unanswered(SCHEMAS["Explanation"], [answer])) == []


@pytest.mark.parametrize(
    "asked",
    [
        {"methods": "deconv", "features": "1", "images": "false"},
        {"methods": "occlusion", "window": "224", "fill": "#A0b1C2"},
        {**SMALL, "format": "png", "others": "0"},
        {**SMALL, "format": "npz"},
        {**SMALL, "format": "html", "others": "0"},
    ],
)
def test_every_kind_of_explanation_is_as_documented(served: Service, asked: dict[str, str]) -> None:
    assert ask(served, EXPLAIN, {"data": PNG, **asked})[0] == 200


def test_the_page_is_as_documented(served: Service) -> None:
    (answer,) = served.answer([Incoming({}, {"Accept": "text/html"}, explain=True, kserve=False)], ["id"])
    assert answer.status == 200
    assert answer.content_type.partition(";")[0] in response(EXPLAIN, 200, "get")["content"]


@pytest.mark.parametrize(
    ("path", "parameters"),
    [
        ("/v1/models/zfnet:predict", {}),
        ("/v1/models/zfnet:explain", {"methods": "occlusion", "window": 112, "stride": 112}),
    ],
)
def test_a_failed_instance_is_as_documented(served: Service, path: str, parameters: dict[str, Any]) -> None:
    instances = [{"data": {"b64": text}} for text in (B64, "bm90aGluZw==", "?")]
    body = {"instances": instances, "parameters": parameters}
    status, answer = ask(served, path, {"body": json.dumps(body).encode()})
    assert status == 200
    (entries,) = answer.values()
    assert ["error" in entry for entry in entries] == [False, True, True]


def test_pixels_are_read_as_documented(served: Service) -> None:
    pixels = noise(5, 7)
    tensor = {"name": "image", "shape": [1, *pixels.shape], "datatype": "UINT8", "data": pixels.flatten().tolist()}
    check(SCHEMAS["ImageTensor"], tensor)
    status, _ = ask(served, "/v2/models/zfnet/infer", {"body": json.dumps({"id": "a", "inputs": [tensor]}).encode()})
    assert status == 200


def test_the_protocols_words_are_documented() -> None:
    """What is passed over or obeyed beside options, in a request, its tensor and its outputs."""
    for name, known in (
        ("PredictParametersV2", options.PREDICT_OPTIONS),
        ("ExplainParametersV2", options.EXPLAIN_OPTIONS),
    ):
        said = wanted.PASSED_OVER_IN_REQUESTS | {wanted.BINARY, wanted.ALL_BINARY}
        assert set(SCHEMAS[name]["properties"]) == set(known) - set(options.WITHOUT_PLACE) | said
    tensor, output = SCHEMAS["ImageTensor"], SCHEMAS["PredictV2"]["properties"]["outputs"]["items"]
    assert set(tensor["properties"]["parameters"]["properties"]) == wanted.PASSED_OVER | {SIZE}
    assert set(output["properties"]["parameters"]["properties"]) == wanted.PASSED_OVER | {wanted.BINARY}
    for name in ("PredictV2", "ExplainV2"):
        assert set(SCHEMAS[name]["properties"]) == V2_FIELDS


def test_tensors_in_binary_are_as_documented(served: Service) -> None:
    body = {"inputs": TENSORS, "outputs": [{"name": "probabilities", "parameters": {"binary_data": True}}]}
    [answer] = served.answer([sent({"body": json.dumps(body).encode()}, False, True)], ["id"])
    assert answer.content_type in response("/v2/models/zfnet/infer", 200)["content"]
    length = int(answer.headers[LENGTH_HEADER])
    check(SCHEMAS["AnswerV2"], json.loads(answer.body[:length]))
    assert len(answer.body) == length + 3 * 4


# Errors


def test_error_codes_are_those_of_the_code() -> None:
    codes = {kind.code for kind in RequestError.__subclasses__()}
    assert set(SCHEMAS["Error"]["properties"]["error"]["properties"]["code"]["enum"]) == codes


@pytest.mark.parametrize(
    ("path", "fields", "expected"),
    [
        (EXPLAIN, {"data": PNG, "stride": "0"}, 400),
        (EXPLAIN, {}, 400),
        (EXPLAIN, {"body": b"nothing"}, 415),
        (EXPLAIN, {"body": PNG[: len(PNG) // 2]}, 422),
        (EXPLAIN, {"body": bytes(21 * 2**20)}, 413),
        (PREDICT, {"body": b"{"}, 400),
        ("/v1/models/zfnet:predict", {"body": b"{}"}, 400),
        ("/v2/models/zfnet/infer", {"body": b'{"inputs": []}'}, 400),
        ("/v2/models/zfnet/infer", {"body": json.dumps({"inputs": TENSORS, "outputs": {}}).encode()}, 400),
    ],
)
def test_refusals_are_as_documented(served: Service, path: str, fields: dict[str, Any], expected: int) -> None:
    status, answer = ask(served, path, fields)
    assert status == expected
    assert isinstance(answer["error"], str) if path.startswith("/v2") else answer["error"]["request_id"] == "id"


@pytest.mark.parametrize(("text", "expected"), [("?", 400), ("bm90aGluZw==", 415), (B64[:400], 422)], ids=range(3))
def test_instances_of_which_none_can_be_read_are_as_documented(served: Service, text: str, expected: int) -> None:
    body = json.dumps({"instances": [{"b64": text}, {}]}).encode()
    for path, key in (("/v1/models/zfnet:predict", "predictions"), ("/v1/models/zfnet:explain", "explanations")):
        status, answer = ask(served, path, {"body": body})
        assert status == expected
        assert ["error" in entry for entry in answer[key]] == [True, True]


def test_an_answer_over_the_limit_is_refused_as_documented() -> None:
    small = service(limits=Limits(max_response_bytes=100))
    status, answer = ask(small, PREDICT, {"body": PNG})
    assert (status, answer["error"]["code"]) == (400, "too_much_work")


def test_instances_of_which_none_can_be_explained_are_as_documented(served: Service) -> None:
    """What is asked for, a picture's most probable class against itself, is found out as it is computed."""
    best = ask(served, PREDICT, {"body": PNG})[1]["predictions"][0]["class_index"]
    body = {"instances": [{"b64": B64}] * 2, "parameters": {**SMALL, "contrast": best}}
    status, answer = ask(served, "/v1/models/zfnet:explain", {"body": json.dumps(body).encode()})
    assert (status, [entry["error"]["option"] for entry in answer["explanations"]]) == (400, ["contrast"] * 2)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (EXPLAIN, PNG),
        ("/v1/models/zfnet:explain", json.dumps({"instances": [{"b64": B64}]}).encode()),
        ("/v1/models/zfnet:predict", json.dumps({"instances": [{"b64": B64}]}).encode()),
        ("/v2/models/zfnet/explain", json.dumps({"inputs": TENSORS}).encode()),
    ],
    ids=["plain", "v1", "v1 predictions", "v2"],
)
def test_our_fault_is_as_documented(served: Service, monkeypatch: pytest.MonkeyPatch, path: str, body: bytes) -> None:
    def broken(*_: object) -> None:
        raise ValueError("a bug")

    monkeypatch.setattr(served.explainer, "explain", broken)
    monkeypatch.setattr(served.explainer, "scores", broken)
    status, answer = ask(served, path, {"body": body})
    assert status == 500
    assert "the server failed on this request" in json.dumps(answer)
