"""Options that are refused, and what is said of them."""

import math
import reprlib
from typing import Any

import pytest

from zfnet_explainer.errors import UnusableOption
from zfnet_explainer.wire.options import (
    EXPLAIN_OPTIONS,
    predict_options,
)

from .asking import INTEGERS, RULES, explain, refusal


@pytest.mark.parametrize("name", INTEGERS)
def test_integers_beyond_their_bounds(name: str) -> None:
    low, high = INTEGERS[name]
    for value in (low - 1, high + 1, -high):
        for written in (value, str(value)):
            error = refusal(**{name: written})
            assert (error.code, error.option) == ("invalid_option", name)
            assert error.message.startswith(f"`{name}` must be an integer from {low} to {high}")
            assert error.message.endswith(f", got {value}")


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
        predict_options({name: 1}, RULES, "plain")


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


def test_a_window_for_which_no_stride_fits() -> None:
    assert refusal(window=3, stride=3).option == "window"
    assert refusal(window=3, stride=3).message == (
        "5,625 squares are more than this server's limit of 4,096; no `stride` fits: choose a `window` of 4 or more"
    )
    assert explain(window=4, stride=4).window == 4
