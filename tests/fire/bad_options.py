"""Every option at its bounds and past them, and options where they cannot be."""

from collections.abc import Iterator

from .cases import EXPLAIN, PREDICT, SMALL, V1_EXPLAIN, V1_PREDICT, Case, document, form
from .documents import B64

# As little work as an explanation can be.
CHEAP = {"methods": "occlusion", "window": "112", "stride": "112"}
PROJECT = {"methods": "deconv", "features": "1", "images": "false"}
NO_NUMBERS = (
    "", " ", "1.5", "1e0", "NaN", "inf", "-inf", "0x5", "true", "null", "one", "5;", "5 5", "5,", "1_0", "+5", "--5",
    "٣", "²", "½", "\N{FULLWIDTH DIGIT FIVE}", "9" * 13, "9" * 5000, "-" + "9" * 5000, "5\0",
    "$(id)", "' OR 1=1 --", "{{7*7}}", "../../etc/passwd", "<script>", "%s%n", "\u202e5", "\x1b[31m5",
)  # fmt: skip
NO_VALUES: tuple[object, ...] = (
    None,
    True,
    1.5,
    [],
    {},
    [[]],
    {"a": 1},
    "x",
    10**400,
    -(10**400),
    float("nan"),
    float("inf"),
)

PAST: dict[str, tuple[str, ...]] = {
    "top_k": ("0", "21", "-1"),
    "window": ("0", "225", "-1"),
    "stride": ("0", "33", "-1"),
    "features": ("0", "65", "-1"),
    "others": ("10", "-1"),
    "layer": ("0", "6", "-1", "1,1", "1,,2", "1;2", ",", "1,2,3,4,5,6"),
    "feature": ("256", "-1", "0,0", ",", ",".join(map(str, range(65)))),
    "methods": ("", "deconv,deconv", "captum", "deconv;occlusion", "all", "deconv,"),
    "target": ("20", "-1", "", "unicorn", "n99999999", "\0", "church\0", "CHURCH!", "a" * 10_000),
    "fill": ("", "grey", "#12345", "#1234567", "#12345g", "rgb(1,2,3)", "#１２３４５６", "file:///etc/passwd"),
    "precision": ("", "float64", "int8", "float32,float32"),
    "crosscheck": ("", "lime", "captum,none"),
    "format": ("", "gif", "pdf", "pickle", "npy", "../html"),
    "images": ("", "1", "yes", "truefalse"),
}
AT: dict[str, tuple[str, ...]] = {
    "top_k": ("1", "20", " 5 ", "05"),
    "window": ("112", "224"),
    "stride": ("112", "100"),
    "fill": ("gray", "mean", "black", "white", "blur", "#000000", "#FFffFF", "GRAY"),
    "target": ("0", "19", "church", "CHURCH", " church ", "n03028079", "golden_retriever", "Golden  Retriever"),
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
    for name in ("top_k", "window", "target", "layer", "methods", "images"):
        path = V1_PREDICT if name == "top_k" else V1_EXPLAIN
        for number, strange in enumerate(NO_VALUES):
            if name == "images" and strange is True:  # which it may be
                continue
            content = {"instances": [{"data": {"b64": B64}}], "parameters": {name: strange}}
            yield document(f"{name} {number} in JSON", content, 400, "invalid_option", path=path)


def _asked(name: str, option: str, value: str, path: str = EXPLAIN) -> Case:
    return form(name, [("data", SMALL), (option, value)], 400, "invalid_option", path)


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
        yield form(f"{name} for a prediction", [data, (name, value)], *refused, path=PREDICT)
    for name in ("Top_K", "top-k", "__class__", "data[]", "../data", "ＴＯＰ_Ｋ", "x" * 5000):
        yield form(f"an option called {name!r:.20}", [data, (name, "5")], *refused)
    for method, name in (("deconv", "window"), ("deconv", "fill"), ("occlusion", "layer"), ("occlusion", "others")):
        yield form(f"{name} without its method", [data, ("methods", method), (name, "5")], *refused)
    yield form("features and feature", [data, ("features", "2"), ("feature", "3")], *refused)
    yield form("feature of several layers", [data, ("layer", "1,2"), ("feature", "3")], *refused)
    for name in ("top_k", "window", "data"):
        yield form(f"{name} twice", [data, (name, "5"), (name, "5")], *refused)
    yield form("window twice and different", [data, ("window", "32"), ("window", "33")], *refused)
    for name, value in {
        "x-explain-": "1",
        "x-explain-nothing": "1",
        "X-EXPLAIN-WINDOW": "0",
        "x-explain-data": "x",
    }.items():
        yield Case(f"header {name}", *refused, EXPLAIN, SMALL, {name: value})
    both = form("option as a header and a field", [data, ("window", "32")], *refused)
    yield Case(both.name, *refused, EXPLAIN, both.content, {**both.headers, "X-Explain-Window": "32"})
    yield form("too many projections", [data, ("layer", "1,2,3,4,5"), ("features", "13")], 400, "too_much_work")
    yield form("too many squares", [data, ("window", "8"), ("stride", "1")], 400, "too_much_work")
    yield form("too many squares to check", [data, ("stride", "4"), ("crosscheck", "captum")], 400, "too_much_work")
    many = {"instances": [{"data": {"b64": B64}}] * 16, "parameters": {"stride": 4, "methods": "occlusion"}}
    yield document("too many squares in all", many, 400, "too_much_work", V1_EXPLAIN)
    many = {"instances": [{"data": {"b64": B64}}] * 16, "parameters": {"features": 17, "methods": "deconv"}}
    yield document("too many projections in all", many, 400, "too_much_work", V1_EXPLAIN)


CASES = (*_past(), *_at(), *_misplaced())
