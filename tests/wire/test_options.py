"""Every option at, below and above its bounds, in every type that JSON, a header or a form can bring."""

import math
import re
import reprlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from zfnet_explainer.errors import InvalidOption, RequestError, TooMuchWork, UnusableOption
from zfnet_explainer.net.record import ClassName
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
from zfnet_explainer.wire.values import ClassIndex, as_text

CLASSES = (
    ClassName("n01440764", "tench"),
    ClassName("n02099601", "golden retriever"),
    ClassName("n02012849", "crane"),
    ClassName("n03126707", "crane"),
    ClassName("n03445777", "Golf_Ball"),
)
RULES = Rules(CLASSES, (96, 256, 384, 384, 256), 224, ("float32", "bfloat16"), 4096, 1024)


def explain(accept: str = "", **given: Any) -> Options:
    return explain_options(given, accept, RULES)[0]


def shown(accept: str = "", **given: Any) -> Presentation:
    return explain_options(given, accept, RULES)[1]


def refusal(**given: Any) -> RequestError:
    with pytest.raises(RequestError) as caught:
        explain_options(given, "", RULES)
    assert caught.value.status == 400
    assert caught.value.message.isprintable()
    return caught.value


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
    assert predict_options({}, RULES) == 5


README = Path(__file__).parents[2] / "README.md"
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
    rules = Rules(CLASSES, RULES.maps, 224, RULES.precisions, 224**2, 1024)
    assert explain_options({"window": window}, "", rules)[0].stride == stride


@pytest.mark.parametrize(("file_format", "others"), [("json", 0), ("npz", 0), ("png", 9), ("html", 9)])
def test_figures_show_nine_others_and_data_none(file_format: str, others: int) -> None:
    assert explain(format=file_format).others == others
    if file_format == "npz":
        assert "which npz has none of" in refusal(format="npz", others=4).message
    else:
        assert explain(format=file_format, others=4).others == 4


INTEGERS = {"top_k": (1, 5), "window": (1, 224), "stride": (1, 32), "features": (1, 64), "others": (0, 9)}
LOOSE = replace(RULES, max_squares=224**2, max_squares_crosscheck=224**2)


@pytest.mark.parametrize("name", INTEGERS)
def test_integers_at_their_bounds(name: str) -> None:
    for value in INTEGERS[name]:
        for written in (value, str(value), f" {value} "):
            assert getattr(explain_options({name: written}, "", LOOSE)[0], name) == value


@pytest.mark.parametrize("name", INTEGERS)
def test_integers_beyond_their_bounds(name: str) -> None:
    low, high = INTEGERS[name]
    for value in (low - 1, high + 1, -high):
        for written in (value, str(value)):
            error = refusal(**{name: written})
            assert (error.code, error.option) == ("invalid_option", name)
            assert error.message.startswith(f"`{name}` must be an integer from {low} to {high}")
            assert error.message.endswith(f", got {value}")


@pytest.mark.parametrize(("written", "value"), [(True, True), (False, False), ("true", True), (" FALSE ", False)])
def test_images_as_json_and_as_text(written: Any, value: bool) -> None:
    assert shown(images=written).images is value


WINDOW = "1 to 224 (the side of the picture as the net sees it)"
COLOURS = "one of gray, mean, black, white, blur or a colour #rrggbb"
LAYERS = "one or several of the layers 1 to 5, separated by commas, each once"
MAPS = "map indices from 0 to 255 (layer 5), separated by commas, each once, at most 64"
MESSAGES: list[tuple[dict[str, Any], str]] = [
    ({"top_k": 6}, "`top_k` must be an integer from 1 to 5 (the number of classes), got 6"),
    ({"window": 225}, f"`window` must be an integer from {WINDOW}, got 225"),
    ({"window": "9" * 5000}, f"`window` must be an integer from {WINDOW}, got {'9' * 60}"),
    ({"stride": 0}, "`stride` must be an integer from 1 to 32 (the window), got 0"),
    ({"stride": "0"}, "`stride` must be an integer from 1 to 32 (the window), got 0"),
    ({"stride": 9, "window": 8}, "`stride` must be an integer from 1 to 8 (the window), got 9"),
    ({"features": -64}, "`features` must be an integer from 1 to 64, got -64"),
    ({"others": 10}, "`others` must be an integer from 0 to 9, got 10"),
    ({"crosscheck": "Shap"}, "`crosscheck` must be one of none, captum, got 'Shap'"),
    ({"images": "no"}, "`images` must be true or false, got 'no'"),
    ({"fill": "grey"}, f"`fill` must be {COLOURS}, got 'grey'"),
    ({"layer": "1,1"}, f"`layer` must be {LAYERS}, got '1,1'"),
    ({"feature": 256}, f"`feature` must be {MAPS}, got 256"),
    (
        {"methods": "gradcam"},
        "`methods` must be deconv, occlusion or both, separated by a comma, each once, got 'gradcam'",
    ),
    ({"target": 5}, "`target` must be an integer from 0 to 4 (a synset or a label serve too), got 5"),
    (
        {"target": "church"},
        "`target` must be a class index from 0 to 4, a synset or a label (such as n01440764 or 'tench'), got 'church'",
    ),
    ({"target": [0]}, "`target` must be a class index from 0 to 4, a synset or a label, got [0]"),
    ({"target": "Crane"}, "`target` must be unique: n02012849, n03126707 share this label, got 'Crane'"),
    (
        {"precision": "float16"},
        "`precision` must be one of float32, bfloat16 (that this device computes in), got 'float16'",
    ),
]


@pytest.mark.parametrize(("given", "message"), MESSAGES, ids=reprlib.repr)
def test_a_refusal_says_what_the_option_may_be(given: dict[str, Any], message: str) -> None:
    option = message.split("`")[1]
    assert refusal(**given).payload("r") == {
        "code": "invalid_option",
        "message": message,
        "option": option,
        "request_id": "r",
    }


@pytest.mark.parametrize("deep", [900, 5_000])
@pytest.mark.parametrize("name", [*EXPLAIN_OPTIONS])
def test_a_value_too_deep_to_be_written_is_refused_like_any_other(name: str, deep: int) -> None:
    value: Any = "x"
    for _ in range(deep):
        value = [value]
    assert refusal(**{name: value}).option == name


# Choices


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


OF_DECONV = {"layer": 4, "features": 2, "feature": 7, "others": 0}
OF_OCCLUSION = {"contrast": "second", "window": 50, "stride": 5, "fill": "black", "precision": "float32"}


@pytest.mark.parametrize("name", [*OF_DECONV, *OF_OCCLUSION])
def test_an_option_of_a_method_that_was_not_asked_for(name: str) -> None:
    other = "occlusion" if name in OF_DECONV else "deconv"
    error = refusal(methods=other, **{name: (OF_DECONV | OF_OCCLUSION)[name]})
    assert isinstance(error, UnusableOption)
    assert (error.code, error.option) == ("invalid_option", name)
    assert "`methods` leaves out" in error.message


@pytest.mark.parametrize(
    "name",
    ["topk", "Stride", "data", "", "a" * 500, "x\n\x1b[0m", "\ud800", "`", "__class__", "é"],
    ids=reprlib.repr,
)
def test_an_unknown_option_is_named_printably(name: str) -> None:
    error = refusal(**{name: 1})
    assert error.code == "invalid_option"
    assert error.message.startswith(f"unknown option `{error.option}`; explanations take: top_k, methods, target, ")
    assert error.option is not None
    assert len(error.option) <= 60
    assert error.option.isprintable()
    error.message.encode()


@pytest.mark.parametrize("name", ["layer", "format", "target", "stride"])
def test_predictions_take_top_k_alone(name: str) -> None:
    with pytest.raises(UnusableOption, match=rf"unknown option `{name}` \(it is an option of expl"):
        predict_options({name: 1}, RULES)


def test_predictions_top_k() -> None:
    assert [predict_options({"top_k": value}, RULES) for value in (1, "5")] == [1, 5]
    with pytest.raises(InvalidOption):
        predict_options({"top_k": "6"}, RULES)


@pytest.mark.parametrize("fill", ["gray", "mean", "black", "white", "blur", "#12ab9f"])
def test_fills(fill: str) -> None:
    assert explain(fill=fill).fill == fill
    assert explain(fill=f" {fill.upper()} ").fill == fill


def test_precisions_in_any_case() -> None:
    assert explain(precision="BFloat16").precision == "bfloat16"


def test_the_accept_header_decides_where_no_format_is_given() -> None:
    assert shown("image/png").format == "png"
    assert shown("image/png", format="npz").format == "npz"


# Layers, features, target


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


@pytest.mark.parametrize(
    ("written", "index"),
    [
        (0, 0),
        ("4", 4),
        ("n02099601", 1),
        ("N02012849", 2),
        ("tench", 0),
        ("Golden_Retriever", 1),
        ("  golden   RETRIEVER ", 1),
        ("golf ball", 4),
    ],
)
def test_targets(written: Any, index: int) -> None:
    assert explain(target=written).target == index


# Folders called 1 to 12, in the order in which their names sort: 1, 10, 11, 12, 2, ...
NUMBERED = tuple(ClassName(name, name) for name in sorted(map(str, range(1, 13))))


@pytest.mark.parametrize("written", ["2", " 2 ", "12", "1"])
def test_what_is_a_class_s_name_is_no_index(written: str) -> None:
    options, _ = explain_options({"target": written}, "", replace(RULES, classes=NUMBERED))
    assert options.target is not None
    assert NUMBERED[options.target].label == written.strip()


@pytest.mark.parametrize("written", [2, "02"])
def test_a_number_that_is_one_class_s_index_and_another_s_name_is_refused(written: Any) -> None:
    with pytest.raises(InvalidOption, match='must be "2" as text for the class of that name'):
        explain_options({"target": written}, "", replace(RULES, classes=NUMBERED))


def test_a_number_that_is_no_name_is_an_index() -> None:
    assert explain_options({"target": "0"}, "", replace(RULES, classes=NUMBERED))[0].target == 0
    own_index = (ClassName("n0", "0"), ClassName("n1", "1"))
    assert [explain_options({"target": n}, "", replace(RULES, classes=own_index))[0].target for n in (1, "1")] == [1, 1]


# Work


@pytest.mark.parametrize(("window", "stride"), [(32, 3), (32, 1), (8, 6), (100, 1), (224, 1), (161, 1), (160, 1)])
@pytest.mark.parametrize("crosscheck", ["none", "captum"])
def test_too_many_squares_name_the_limit_and_a_stride_that_fits(window: int, stride: int, crosscheck: str) -> None:
    limit = {"none": 4096, "captum": 1024}[crosscheck]

    def count(stride: int) -> int:
        return (math.ceil((224 - window) / stride) + 1) ** 2

    given: dict[str, Any] = {"window": window, "crosscheck": crosscheck}
    if count(stride) <= limit:
        assert explain(stride=stride, **given).stride == stride
        return
    error = refusal(stride=stride, **given)
    assert (error.code, error.option) == ("too_much_work", "stride")
    told, _, smallest = error.message.partition("the smallest `stride` that fits is ")
    where = " with `crosscheck`" if crosscheck == "captum" else ""
    assert told == f"{count(stride):,} squares are more than this server's limit of {limit:,}{where}; "
    assert explain(stride=smallest, **given).stride == int(smallest)
    assert count(int(smallest)) <= limit < count(int(smallest) - 1)


def test_a_class_called_second_is_not_exchanged_for_the_second_in_silence() -> None:
    rules = replace(RULES, classes=(*CLASSES, ClassName("n7", "Second")))
    with pytest.raises(InvalidOption, match="for the class of that name say n7 or its index"):
        explain_options({"contrast": "second"}, "", rules)
    assert explain_options({"contrast": "n7"}, "", rules)[0].contrast == len(CLASSES)
    assert explain_options({"target": "second"}, "", rules)[0].target == len(CLASSES)


def test_a_window_for_which_no_stride_fits() -> None:
    assert refusal(window=3, stride=3).option == "window"
    assert refusal(window=3, stride=3).message == (
        "5,625 squares are more than this server's limit of 4,096; no `stride` fits: choose a `window` of 4 or more"
    )
    assert explain(window=4, stride=4).window == 4


def test_squares_are_not_counted_where_none_are_asked_for() -> None:
    rules = Rules(CLASSES, RULES.maps, 224, RULES.precisions, 1, 1)
    assert explain_options({"methods": "deconv"}, "", rules)[0].methods == {"deconv"}
    with pytest.raises(TooMuchWork):
        explain_options({}, "", rules)


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


def test_classes_are_written_as_what_the_server_reads_as_that_class() -> None:
    """By name: an index may be the name of another class."""
    labels = {"n00": "1", "n01": "2", "n02": "0", "n03": "Second", "n04": "crane", "n05": "crane", "n06": "n00"}
    classes = tuple(ClassName(synset, label) for synset, label in labels.items())
    rules = replace(RULES, classes=classes)
    said = []
    for index in range(len(classes)):
        asked = replace(explain(contrast="second"), target=index, contrast=(index + 1) % len(classes))
        written = dict(as_written(asked, classes))
        assert explain_options(written, "", rules)[0] == asked
        said.append(written["target"])
    assert said == ["1", "2", "0", "n03", "n04", "n05", "n06"]


@pytest.mark.parametrize(
    "names",
    [
        ["tench", "Golf_ball", "golf ball", "Second"],
        ["Cat", "cat", "red_car", "red car"],
        ["10", "2", "1", "second"],
    ],
)
def test_a_class_is_written_so_that_it_is_read_as_the_same(names: list[str]) -> None:
    """Folders of pictures, whose names are label and synset, however alike they are."""
    known = ClassIndex(tuple(ClassName(name, name) for name in names), "second")
    written = [known.written(index) for index in range(len(names))]
    assert [known.parse("target", text) for text in written] == [*range(len(names))]
