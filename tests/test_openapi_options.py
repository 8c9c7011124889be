"""deploy/openapi.yaml and the code say the same of options: names, ranges, defaults, what a net bounds."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from jsonschema import ValidationError

from zfnet_explainer.errors import RequestError
from zfnet_explainer.net.precision import PRECISIONS
from zfnet_explainer.net.record import ClassName
from zfnet_explainer.net.zfnet import zfnet
from zfnet_explainer.options import METHODS
from zfnet_explainer.pictures.fill import FILLS
from zfnet_explainer.wire import options
from zfnet_explainer.wire.request import HEADER_PREFIX
from zfnet_explainer.wire.rules import MAX_PROJECTIONS, Rules
from zfnet_explainer.wire.v2.binary import LENGTH_HEADER

from .document import DOCUMENT, SCHEMAS, SERVED, check

PROJECT = Path(__file__).parents[1]
OPTIONS: dict[str, dict[str, Any]] = {
    name: SCHEMAS[reference["$ref"].rpartition("/")[2]]
    for name, reference in SCHEMAS["ExplainOptions"]["properties"].items()
}


def rules(classes: int, maps: tuple[int, ...], size: int) -> Rules:
    """A net of this size on a device that computes in every precision, without a bound on squares."""
    names = (ClassName(*("n02088364", "beagle") if i == 3 else (f"n{i}", f"class {i}")) for i in range(classes))
    return Rules(tuple(names), maps, size, tuple(PRECISIONS), size**2, size**2, keeps_float32=True, max_others=9)


RULES = rules(20, (96, 256, 384, 384, 256), 224)
VGG16 = rules(1000, (64, 64, 128, 128, *(256,) * 3, *(512,) * 6), 224)
TINY = rules(4, (3,), 24)


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
        options.explain_options(given, "", net, "plain")
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
    assert set(OPTIONS["crosscheck"]["enum"]) == set(options.CROSSCHECKS)
    written, listed = OPTIONS["methods"]["anyOf"]
    assert {part for value in written["enum"] for part in value.split(",")} == set(METHODS)
    assert set(listed["items"]["enum"]) == set(METHODS)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (name, value)
        for name, schema in OPTIONS.items()
        for one in (schema, *schema.get("anyOf", ()))
        for value in one.get("enum", ())
    ],
)
def test_all_of_an_enumeration_is_accepted(name: str, value: Any) -> None:
    assert accepted(**{name: value})


def test_methods_are_listed_as_documented() -> None:
    for methods in (["deconv"], ["occlusion"], ["occlusion", "deconv"]):
        check(OPTIONS["methods"], methods)
        assert accepted(methods=methods)
    for none in ([], ["deconv", "deconv"], ["gradients"]):
        with pytest.raises(ValidationError):
            check(OPTIONS["methods"], none)
        assert not accepted(methods=none)


@pytest.mark.parametrize("name", list(OPTIONS))
def test_examples_and_defaults_are_what_they_may_be(name: str) -> None:
    schema = OPTIONS[name]
    for value in [*schema.get("examples", ()), *([schema["default"]] if "default" in schema else ())]:
        check(schema, value)
        assert accepted(**{name: value}), value


def test_defaults_are_those_of_the_code() -> None:
    documented = {name: schema["default"] for name, schema in OPTIONS.items() if "default" in schema}
    chosen, shown = options.explain_options({}, "", RULES, "plain")
    assert documented == {
        "methods": ",".join(sorted(chosen.methods)),
        "window": chosen.window,
        "fill": chosen.fill,
        "precision": chosen.precision,
        "crosscheck": "captum" if chosen.crosscheck else "none",
        "format": shown.format,
    }
    assert (chosen.top_k, chosen.features, chosen.stride, shown.images) == (5, 9, 8, True)
    for name, said in {
        "top_k": "Default: 5, or all of them where there are fewer",
        "features": "Default: 9",
        "stride": "Default: the smaller of 8 and `window`",
        "images": "as it does by default",
    }.items():
        assert said in " ".join(OPTIONS[name]["description"].split())
    by_format = {
        name: options.explain_options({"format": name}, "", RULES, "plain")[0].others for name in options.FORMATS
    }
    assert "Default: 0 in json and npz, 9 in png and html" in OPTIONS["others"]["description"]
    assert by_format == {"json": 0, "npz": 0, "png": 9, "html": 9}


@pytest.mark.parametrize("written", options.FORMATS)
@pytest.mark.parametrize("given", [{}, {"window": 4}, {"feature": 7}], ids=["nothing", "a small window", "a map"])
def test_a_client_that_fills_in_the_defaults_is_not_refused(written: str, given: dict[str, Any]) -> None:
    """As generated ones do."""
    defaults = {name: schema["default"] for name, schema in OPTIONS.items() if "default" in schema}
    assert accepted(**defaults | given | {"format": written})


def test_defaults_that_depend_on_the_net_are_as_documented() -> None:
    for net, last in ((RULES, 5), (VGG16, 13), (TINY, 1)):
        assert options.explain_options({}, "", net, "plain")[0].layers == (last,)
    assert "Default: the last one" in OPTIONS["layer"]["description"]
    tiny, _ = options.explain_options({}, "", TINY, "plain")
    assert (tiny.top_k, tiny.window, tiny.stride) == (4, 24, 8)
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
