"""deploy/openapi.yaml and the code say the same: options, answers, errors, in both directions."""

import base64
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from jsonschema import ValidationError
from openapi_spec_validator import validate

from zfnet_explainer.errors import RequestError
from zfnet_explainer.net.precision import PRECISIONS
from zfnet_explainer.net.record import ClassName
from zfnet_explainer.net.zfnet import zfnet
from zfnet_explainer.options import METHODS
from zfnet_explainer.pictures.fill import FILLS
from zfnet_explainer.service.answer import Answer
from zfnet_explainer.service.service import Service
from zfnet_explainer.service.settings import Limits
from zfnet_explainer.wire import options
from zfnet_explainer.wire.document import MAX_INSTANCES, V2_FIELDS
from zfnet_explainer.wire.request import HEADER_PREFIX, Incoming
from zfnet_explainer.wire.rules import MAX_PROJECTIONS, Rules
from zfnet_explainer.wire.v2 import wanted
from zfnet_explainer.wire.v2.binary import LENGTH_HEADER
from zfnet_explainer.wire.v2.pictures import SIZE

from .document import DOCUMENT, SCHEMAS, SERVED, check, response
from .samples import encoded, noise
from .served import SMALL, sent, service

PROJECT = Path(__file__).parents[1]
OPTIONS: dict[str, dict[str, Any]] = {
    name: SCHEMAS[reference["$ref"].rpartition("/")[2]]
    for name, reference in SCHEMAS["ExplainOptions"]["properties"].items()
}
PNG = encoded(noise())
B64 = base64.b64encode(PNG).decode()
TENSORS = [{"name": "image", "shape": [1], "datatype": "BYTES", "data": [B64]}]
PREDICT, EXPLAIN = "/predictions/zfnet", "/explanations/zfnet"


def rules(classes: int, maps: tuple[int, ...], size: int) -> Rules:
    """A net of this size on a device that computes in every precision, without a bound on squares."""
    names = (ClassName(*("n02088364", "beagle") if i == 3 else (f"n{i}", f"class {i}")) for i in range(classes))
    return Rules(tuple(names), maps, size, tuple(PRECISIONS), size**2, size**2)


RULES = rules(20, (96, 256, 384, 384, 256), 224)
VGG16 = rules(1000, (64, 64, 128, 128, *(256,) * 3, *(512,) * 6), 224)
TINY = rules(4, (3,), 24)


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


# Options


def test_every_option_is_documented_in_every_place() -> None:
    names = set(options.EXPLAIN_OPTIONS)
    assert set(OPTIONS) == names
    assert set(SCHEMAS["ExplainForm"]["properties"]) == names | {"data"}
    assert set(SCHEMAS["PredictOptions"]["properties"]) == set(options.PREDICT_OPTIONS)
    assert set(SCHEMAS["PredictForm"]["properties"]) == {*options.PREDICT_OPTIONS, "data"}
    for path, operations in SERVED.items():
        for method in operations.keys() & {"post", "put"}:
            known = set(options.EXPLAIN_OPTIONS if "expla" in path else options.PREDICT_OPTIONS)
            placeless = set(options.WITHOUT_PLACE) if path.startswith("/v2") else set()
            assert set(headers(operations[method])) == known - placeless, (path, method)


def headers(operation: dict[str, Any]) -> Iterator[str]:
    """Option names of an operation's header parameters, whose schema is that of the option."""
    for reference in operation["parameters"]:
        key = reference["$ref"].rpartition("/")[2]
        parameter = DOCUMENT["components"]["parameters"][key]
        if parameter["name"] == LENGTH_HEADER:
            continue
        assert parameter["schema"] == {"$ref": f"#/components/schemas/{key}"}
        yield parameter["name"].lower().removeprefix(HEADER_PREFIX).replace("-", "_")


def accepted(net: Rules = RULES, **given: Any) -> bool:
    try:
        options.explain_options(given, "", net)
    except RequestError:
        return False
    return True


@pytest.mark.parametrize("name", ["features", "others"])
def test_integers_have_the_documented_range(name: str) -> None:
    low, high = OPTIONS[name]["minimum"], OPTIONS[name]["maximum"]
    in_a_form: Any = str(high)
    assert accepted(**{name: low})
    assert accepted(**{name: high})
    assert accepted(**{name: in_a_form})
    assert not accepted(**{name: low - 1})
    assert not accepted(**{name: high + 1})


@pytest.mark.parametrize("net", [RULES, VGG16, TINY], ids=["zfnet", "vgg16", "tiny"])
@pytest.mark.parametrize("name", ["top_k", "target", "contrast", "layer", "feature", "window", "stride"])
def test_what_the_net_bounds_is_documented_up_to_there(name: str, net: Rules) -> None:
    high = {
        "top_k": len(net.classes),
        "layer": len(net.maps),
        "feature": net.maps[-1] - 1,
        "window": net.size,
        "stride": net.size,
    }.get(name, len(net.classes) - 1)
    more = {"window": net.size} if name == "stride" else {}
    low = OPTIONS[name].get("anyOf", [OPTIONS[name]])[0]["minimum"]
    for value in (low, high, str(high)):
        if not (isinstance(value, str) and OPTIONS[name].get("type") == "integer"):
            check(OPTIONS[name], value)
        assert accepted(net, **{name: value}, **more), value
    assert not accepted(net, **{name: low - 1}, **more)
    assert not accepted(net, **{name: high + 1}, **more)


def test_as_many_layers_and_maps_as_projections_may_be_listed() -> None:
    for name, schema in ((name, OPTIONS[name]["anyOf"]) for name in ("layer", "feature")):
        assert schema[2]["maxItems"] == MAX_PROJECTIONS, name
        check(OPTIONS[name], ",".join(["10"] * MAX_PROJECTIONS))
        with pytest.raises(ValidationError):
            check(OPTIONS[name], ",".join(["10"] * (MAX_PROJECTIONS + 1)))
    assert SCHEMAS["Deconv"]["properties"]["layers"]["maxItems"] == MAX_PROJECTIONS
    every = [layer + 1 for layer in range(len(VGG16.maps))]
    check(OPTIONS["layer"], every)
    assert accepted(VGG16, layer=every, features=4)
    assert accepted(VGG16, layer=",".join(map(str, every)), features=4)


def test_enumerations_are_complete() -> None:
    assert set(OPTIONS["format"]["enum"]) == set(options.FORMATS)
    assert set(OPTIONS["precision"]["enum"]) == set(PRECISIONS)
    assert set(OPTIONS["fill"]["anyOf"][0]["enum"]) == set(FILLS)
    assert {part for value in OPTIONS["methods"]["enum"] for part in value.split(",")} == set(METHODS)
    for name, schema in OPTIONS.items():
        assert all(accepted(**{name: value}) for value in schema.get("enum", ())), name


@pytest.mark.parametrize("name", list(OPTIONS))
def test_examples_and_defaults_are_what_they_may_be(name: str) -> None:
    schema = OPTIONS[name]
    for value in [*schema.get("examples", ()), *([schema["default"]] if "default" in schema else ())]:
        check(schema, value)
        assert accepted(**{name: value}), value


def test_defaults_are_those_of_the_code() -> None:
    documented = {name: schema["default"] for name, schema in OPTIONS.items() if "default" in schema}
    chosen, shown = options.explain_options({}, "", RULES)
    assert documented == {
        "top_k": chosen.top_k,
        "methods": ",".join(sorted(chosen.methods)),
        "features": chosen.features,
        "images": shown.images,
        "window": chosen.window,
        "stride": chosen.stride,
        "fill": chosen.fill,
        "precision": chosen.precision,
        "crosscheck": "captum" if chosen.crosscheck else "none",
        "format": shown.format,
    }
    by_format = {name: options.explain_options({"format": name}, "", RULES)[0].others for name in options.FORMATS}
    assert "Default: 0 in json and npz, 9 in png and html" in OPTIONS["others"]["description"]
    assert by_format == {"json": 0, "npz": 0, "png": 9, "html": 9}


def test_defaults_that_depend_on_the_net_are_as_documented() -> None:
    for net, last in ((RULES, 5), (VGG16, 13), (TINY, 1)):
        assert options.explain_options({}, "", net)[0].layers == (last,)
    assert "Default: the last one" in OPTIONS["layer"]["description"]
    tiny, _ = options.explain_options({}, "", TINY)
    assert (tiny.top_k, tiny.window, tiny.stride) == (4, 24, 8)
    assert "the default where there are fewer than 5" in " ".join(OPTIONS["top_k"]["description"].split())
    assert "the default where it is below 32" in " ".join(OPTIONS["window"]["description"].split())


def test_what_it_says_of_the_shipped_net_is_so() -> None:
    record = json.loads((PROJECT / "model_store" / "zfnet.json").read_text())
    told = " ".join(DOCUMENT["info"]["description"].split())
    said = f"{len(record['classes'])} classes, {len(RULES.maps)} layers, {record['preprocessing']['size']} pixels"
    assert said in told
    assert "1,000 classes, 13 layers" in told
    with torch.device("meta"):
        *first, last = zfnet(20, {}).map_counts
    assert f"{', '.join(map(str, first))} and {last}" in OPTIONS["feature"]["description"]


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


def test_our_fault_is_as_documented(served: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ValueError("a bug")

    monkeypatch.setattr(served.explainer, "explain", broken)
    status, answer = ask(served, EXPLAIN, {"body": PNG})
    assert (status, answer["error"]["code"]) == (500, "internal_error")
