"""Options as they are read: defaults, bounds, spellings."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from zfnet_explainer.errors import InvalidOption, TooMuchWork
from zfnet_explainer.options import Options
from zfnet_explainer.wire.options import (
    EXPLAIN_OPTIONS,
    Presentation,
    as_written,
    default_values,
    explain_options,
    predict_options,
)
from zfnet_explainer.wire.rules import Rules
from zfnet_explainer.wire.values import as_text

from .asking import CLASSES, INTEGERS, RULES, explain, refusal


def shown(accept: str = "", **given: Any) -> Presentation:
    return explain_options(given, accept, RULES, "plain")[1]


def test_defaults_are_the_contracts() -> None:
    assert explain() == Options(
        top_k=5,
        methods=frozenset({"deconv", "occlusion"}),
        target=None,
        layers=(5,),
        features=9,
        feature=None,
        others=0,
        window=32,
        stride=8,
        fill="gray",
        precision="float32",
        crosscheck=False,
    )
    assert shown() == Presentation("json", True)
    assert predict_options({}, RULES, "plain") == 5


README = Path(__file__).parents[3] / "README.md"


# Defaults that the README has in words.
IN_WORDS = {
    "methods": "both",
    "target": "the predicted class",
    "contrast": "none",
    "feature": "",
    "format": "by Accept, else `json`",
    "others": "0; 9 in png, html",
}


def test_the_readmes_table_has_every_option_with_its_default() -> None:
    rows = re.findall(r"^\| (`\w+`(?:, `\w+`)*) \| (.+?) \| (.+?) \|$", README.read_text(), re.MULTILINE)
    table = {}
    for names, may_be, default in rows:
        defaults = default.split(", ") if "," in names else [default]
        for name, one in zip(names.split(", "), [*defaults, ""], strict=False):
            table[name.strip("`")] = (may_be, one)
    assert list(table) == list(EXPLAIN_OPTIONS)
    for name, values in default_values(replace(RULES, classes=20 * CLASSES[:1])).items():
        may_be, default = table[name]
        assert default.replace("`", "") == IN_WORDS.get(name, as_text(values.default)).replace("`", "")
        if "choices" in values.control and name not in ("layer", "images"):
            assert set(values.control["choices"]) <= set(re.findall(r"`([\w]+)`", may_be)), name


@pytest.mark.parametrize(("window", "stride"), [(1, 1), (7, 7), (8, 8), (9, 8), (224, 8)])
def test_the_stride_is_the_smaller_of_eight_and_the_window(window: int, stride: int) -> None:
    rules = Rules(CLASSES, RULES.maps, 224, RULES.precisions, 224**2, 1024, keeps_float32=True, max_others=9)
    assert explain_options({"window": window}, "", rules, "plain")[0].stride == stride


@pytest.mark.parametrize(("file_format", "others"), [("json", 0), ("npz", 0), ("png", 9), ("html", 9)])
def test_figures_show_nine_others_and_data_none(file_format: str, others: int) -> None:
    assert explain(format=file_format).others == others
    if file_format == "npz":
        assert "which npz has none of" in refusal(format="npz", others=4).message
    else:
        assert explain(format=file_format, others=4).others == 4


LOOSE = replace(RULES, max_squares=224**2, max_squares_crosscheck=224**2)


@pytest.mark.parametrize("name", INTEGERS)
def test_integers_at_their_bounds(name: str) -> None:
    for value in INTEGERS[name]:
        for written in (value, str(value), f" {value} "):
            assert getattr(explain_options({name: written}, "", LOOSE, "plain")[0], name) == value


@pytest.mark.parametrize(("written", "value"), [(True, True), (False, False), ("true", True), (" FALSE ", False)])
def test_images_as_json_and_as_text(written: Any, value: bool) -> None:
    assert shown(images=written).images is value


@pytest.mark.parametrize(
    ("written", "methods"),
    [
        ("deconv", ["deconv"]),
        ("occlusion", ["occlusion"]),
        ("occlusion,deconv", ["deconv", "occlusion"]),
        (" Deconv , OCCLUSION", ["deconv", "occlusion"]),
        (["deconv"], ["deconv"]),
    ],
    ids=str,
)
def test_methods(written: Any, methods: list[str]) -> None:
    assert explain(methods=written).methods == set(methods)


def test_predictions_top_k() -> None:
    assert [predict_options({"top_k": value}, RULES, "plain") for value in (1, "5")] == [1, 5]
    with pytest.raises(InvalidOption):
        predict_options({"top_k": "6"}, RULES, "plain")


@pytest.mark.parametrize("fill", ["gray", "mean", "black", "white", "blur", "#12ab9f"])
def test_fills(fill: str) -> None:
    assert explain(fill=fill).fill == fill
    assert explain(fill=f" {fill.upper()} ").fill == fill


def test_precisions_in_any_case() -> None:
    assert explain(precision="BFloat16").precision == "bfloat16"


def test_the_accept_header_decides_where_no_format_is_given() -> None:
    assert shown("image/png").format == "png"
    assert shown("image/png", format="npz").format == "npz"


@pytest.mark.parametrize(
    ("written", "layers"),
    [(1, (1,)), ("5", (5,)), ("1,2,3,4,5", (1, 2, 3, 4, 5)), (" 3 , 1", (3, 1)), ([2, "4"], (2, 4))],
    ids=str,
)
def test_layers(written: Any, layers: tuple[int, ...]) -> None:
    assert explain(layer=written).layers == layers


@pytest.mark.parametrize(("layer", "last"), [(1, 95), (2, 255), (3, 383), (4, 383), (5, 255)])
def test_map_indices_end_where_the_layers_maps_do(layer: int, last: int) -> None:
    assert explain(layer=layer, feature=f"0,{last}").feature == (0, last)
    for beyond in (-1, last + 1):
        assert f"from 0 to {last} (layer {layer})" in refusal(layer=layer, feature=beyond).message


def test_as_many_maps_as_projections() -> None:
    assert explain(feature=list(range(64))).feature == tuple(range(64))
    assert refusal(feature=list(range(65))).option == "feature"


def test_layers_times_features_are_at_most_64() -> None:
    assert explain(layer="1,2,3,4", features=16).features == 16
    error = refusal(layer="1,2,3,4", features=17)
    assert isinstance(error, TooMuchWork)
    assert error.message == "4 layers x 17 features are more than 64 projections; at most 16 `features` fit 4 layers"


def test_squares_are_not_counted_where_none_are_asked_for() -> None:
    rules = Rules(CLASSES, RULES.maps, 224, RULES.precisions, 1, 1, keeps_float32=True, max_others=9)
    assert explain_options({"methods": "deconv"}, "", rules, "plain")[0].methods == {"deconv"}
    with pytest.raises(TooMuchWork):
        explain_options({}, "", rules, "plain")


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"methods": "deconv", "layer": "2,4", "features": 3, "others": 2},
        {"methods": "occlusion", "target": "tench", "contrast": "second", "window": 9, "fill": "#00ff7f"},
        {"layer": 1, "feature": "7,3", "contrast": 4, "precision": "bfloat16", "crosscheck": "captum", "top_k": 2},
    ],
)
def test_checked_options_are_written_as_a_client_would(given: dict[str, Any]) -> None:
    """Sent again they ask the same; what was given is there by its name."""
    asked = explain(**given)
    written = dict(as_written(asked, CLASSES))
    assert explain(**written) == asked
    assert set(given) <= set(written)
