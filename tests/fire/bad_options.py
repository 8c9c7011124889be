"""Every option at its bounds and past them, and options where they cannot be."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from zfnet_explainer.wire.options import EXPLAIN_OPTIONS

from .cases import EXPLAIN, PREDICT, SMALL, V1_EXPLAIN, V1_PREDICT, Case, document, form
from .documents import B64

# As little work as an explanation can be.
CHEAP = {"methods": "occlusion", "window": "224", "stride": "100"}
PROJECT = {"methods": "deconv", "features": "1", "images": "false"}
NO_NUMBERS = (
    "", " ", "\n", "1.0", "1.5", "1e0", "NaN", "inf", "-inf", "0x5", "true", "null", "one", "5;", "5 5", "5,", "1_0",
    "+5", "--5", "٣", "²", "½", "\N{FULLWIDTH DIGIT FIVE}", "9" * 13, "9" * 5000, "-" + "9" * 5000, "5\0",
    "$(id)", "' OR 1=1 --", "{{7*7}}", "../../etc/passwd", "<script>", "%s%n", "\u202e5", "\x1b[31m5", "é" * 500,
)  # fmt: skip


def _deep(depth: int) -> object:
    value: object = 1
    for _ in range(depth):
        value = [value]
    return value


# What none of the options can be, but for `images`, which may be a boolean.
NO_VALUES: tuple[object, ...] = (
    None, True, False, 1.0, 1.5, float("nan"), float("inf"), 10**400, -(10**400), [], {}, [[]], [[1]], {"a": 1},
    {"a": [1]}, _deep(8), _deep(500), "", " ", "\n", "nan", "1.0", "1e1", "0x1", "+1", "--1", "1_0", "1 2", "٣", "²",
    "１", "x", "9" * 13, "5\0", "\0", "\x1b[31m", "\ud800", "é" * 500,
)  # fmt: skip

PAST: dict[str, tuple[str, ...]] = {
    "top_k": ("0", "21", "-1"),
    "window": ("0", "225", "-1"),
    "stride": ("0", "33", "-1"),
    "features": ("0", "65", "-1"),
    "others": ("10", "-1"),
    "layer": ("0", "6", "-1", "1,1", "1,,2", "1;2", ",", "1,2,3,4,5,6", "1," * 100),
    "feature": ("256", "-1", "0,0", "1,1", ",", ",".join(map(str, range(65)))),
    "methods": ("", ",", "deconv,deconv", "captum", "gradcam", "deconv;occlusion", "all", "deconv,"),
    "target": (
        "20", "-1", "0,1", "", "unicorn", "n0", "n99999999", "\0", "church\0", "CHURCH!", "goldenretriever",
        "a" * 10_000,
    ),
    "contrast": ("20", "-1", "second,0", "third", "", "0,1", "unicorn", "second\0", "sec ond", "a" * 10_000),
    "fill": (
        "", "grey", "red", "123456", "#123", "#12345", "#1234567", "##12345", "#+12345", "#12345g", "rgb(1,2,3)",
        "#１２３４５６", "file:///etc/passwd",
    ),
    "precision": ("", "float64", "int8", "float32,float32"),
    "crosscheck": ("", "lime", "captum,none"),
    "format": ("", "gif", "pdf", "pickle", "npy", "../html"),
    "images": ("", "1", "yes", "truefalse"),
}  # fmt: skip
# As JSON has them.
PAST_IN_JSON: dict[str, tuple[object, ...]] = {
    "top_k": (0, 21, -5),
    "window": (0, 225, -224),
    "stride": (0, 33, -32),
    "features": (0, 65, -64),
    "others": (-1, 10),
    "layer": (0, 6, [1, 1], [True]),
    "feature": (256, -1, list(range(65))),
    "methods": (["deconv", 1], [["deconv"]], ["deconv", "deconv"]),
    "target": (20, -1, [0]),
    "contrast": (20, -1, [0], ["second"]),
    "fill": (808080,),
}
AT: dict[str, tuple[str, ...]] = {
    "top_k": ("1", "20", " 5 ", "05"),
    "window": ("112", "224"),
    "stride": ("112", "100"),
    "fill": ("gray", "mean", "black", "white", "blur", "#000000", "#FFffFF", "GRAY"),
    "target": ("0", "19", "church", "CHURCH", " church ", "n03028079", "golden_retriever", "Golden  Retriever"),
    "contrast": ("second", " SECOND "),
    "methods": ("occlusion", " OCCLUSION "),
    "format": ("json", "npz", "JSON"),
    "images": ("true", "FALSE"),
    "precision": ("float32",),
    "crosscheck": ("none",),
}
PROJECTED: dict[str, tuple[str, ...]] = {
    "layer": ("1", "5", "1,2,3,4,5"),
    "features": ("1", "2"),
    "others": ("0", "9"),
}


def _past() -> Iterator[Case]:
    for name, values in PAST.items():
        for value in values:
            yield _asked(f"{name} {value!r:.30}", name, value)
    for value in NO_NUMBERS:
        yield _asked(f"top_k {value!r:.30}", "top_k", value, PREDICT)
    for name in ("window", "stride", "features"):
        yield _asked(f"{name} NaN", name, "NaN")
        yield _asked(f"{name} of 5,000 digits", name, "9" * 5000)
    for name in EXPLAIN_OPTIONS:
        for strange in (*PAST_IN_JSON.get(name, ()), *NO_VALUES):
            if not (name == "images" and isinstance(strange, bool)):
                yield _in_json(name, strange)


def _in_json(name: str, value: object) -> Case:
    path = V1_PREDICT if name == "top_k" else V1_EXPLAIN
    content = {"instances": [{"data": {"b64": B64}}], "parameters": {name: value}}
    return document(f"{name} {value!a:.40} in JSON", content, 400, "invalid_option", path=path, option=name)


def _asked(name: str, option: str, value: str, path: str = EXPLAIN) -> Case:
    return form(name, [("data", SMALL), (option, value)], 400, "invalid_option", path, option=option)


def _at() -> Iterator[Case]:
    for base, table in ((CHEAP, AT), (PROJECT, PROJECTED)):
        for name, values in table.items():
            for value in values:
                fields: list[tuple[str, bytes | str]] = [("data", SMALL), *(base | {name: value}).items()]
                yield form(f"{name} {value!r} is fine", fields, 200, None)


def _misplaced() -> Iterator[Case]:
    data = ("data", SMALL)
    refused = (400, "invalid_option")
    for name, value in {
        "window": "32",
        "layer": "5",
        "explain": "True",
        "describe": "True",
        "url": "http://x/",
    }.items():
        yield form(f"{name} for a prediction", [data, (name, value)], *refused, path=PREDICT, option=name)
    for name in ("Top_K", "top-k", "__class__", "data[]", "../data", "ＴＯＰ_Ｋ", "x" * 5000):
        yield form(f"an option called {name!r:.20}", [data, (name, "5")], *refused)
    for method, name in (("deconv", "window"), ("deconv", "fill"), ("occlusion", "layer"), ("occlusion", "others")):
        yield form(f"{name} without its method", [data, ("methods", method), (name, "5")], *refused, option=name)
    exclude = "`features` and `feature` exclude each other"
    yield form("features and feature", [data, ("features", "2"), ("feature", "3")], *refused, says=exclude)
    one = "`feature` names maps of one layer: give one `layer`"
    yield form("feature of several layers", [data, ("layer", "1,2"), ("feature", "3")], *refused, says=one)
    for name in ("top_k", "window", "data"):
        yield form(f"{name} twice", [data, (name, "5"), (name, "5")], *refused, says=f"`{name}` is given twice")
    yield form("window twice and different", [data, ("window", "32"), ("window", "33")], *refused)
    for name, value in {
        "x-explain-": "1",
        "x-explain-nothing": "1",
        "X-EXPLAIN-WINDOW": "0",
        "x-explain-data": "x",
    }.items():
        yield Case(f"header {name}", *refused, EXPLAIN, SMALL, {name: value})
    yield Case(
        "option with a dash and a bar", *refused, EXPLAIN, SMALL, {"X-Explain-Top-K": "2", "x-explain-top_k": "2"}
    )
    yield from _twice(data, refused)


def _twice(data: tuple[str, bytes], refused: tuple[int, str]) -> Iterator[Case]:
    """The same option in two places."""
    told: dict[str, Any] = {"option": "window", "says": "`window` is given twice"}
    both = form("option as a header and a field", [data, ("window", "32")], *refused, **told)
    yield replace(both, headers={**both.headers, "X-Explain-Window": "32"})
    content = {"instances": [{"data": {"b64": B64}}], "parameters": {"window": 32}}
    both = document("option as a header and in JSON", content, *refused, path=V1_EXPLAIN, **told)
    yield replace(both, headers={**both.headers, "x-explain-window": "32"})
    text = b'{"instances": [], "parameters": {"window": 1, "window": 1}}'
    yield document("option twice in JSON", text, *refused, path=V1_EXPLAIN, **told)


def _too_much() -> Iterator[Case]:
    data, refused = ("data", SMALL), (400, "too_much_work")
    yield form("too many projections", [data, ("layer", "1,2,3,4,5"), ("features", "13")], *refused, option="features")
    for name, fields in {
        "too many squares": {"window": "8", "stride": "1"},
        "too many squares to check": {"stride": "4", "crosscheck": "captum"},
    }.items():
        yield form(name, [data, *fields.items()], *refused, option="stride")
    instances = [{"data": {"b64": B64}}] * 16
    for option, parameters in {
        "stride": {"stride": 4, "methods": "occlusion"},
        "features": {"features": 17, "methods": "deconv"},
    }.items():
        many = {"instances": instances, "parameters": parameters}
        yield document(f"too small a {option} in all", many, *refused, V1_EXPLAIN, option=option)


CASES = (*_past(), *_at(), *_misplaced(), *_too_much())
