"""Options as clients write them -> checked values."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import InvalidOption, TooMuchWork, UnusableOption, printable
from ..explanation import Options
from ..methods.squares import smallest_stride, squares
from ..net.checkpoint import ClassName

METHODS = ("deconv", "occlusion")
FORMATS = ("json", "png", "npz", "html")
DRAWN = ("png", "html")
FILLS = ("gray", "mean", "black", "white", "blur")
CROSSCHECKS = ("none", "captum")
MAX_PROJECTIONS = 64
MAX_OTHERS = 9
# All pictures of one request may ask for so many times as much as a single one.
MAX_TOGETHER = 4
OWNERS = {
    "layer": "deconv",
    "features": "deconv",
    "feature": "deconv",
    "others": "deconv",
    "window": "occlusion",
    "stride": "occlusion",
    "fill": "occlusion",
    "precision": "occlusion",
}
PREDICT_OPTIONS = ("top_k",)
EXPLAIN_OPTIONS = ("top_k", "methods", "target", *OWNERS, "images", "crosscheck", "format")


@dataclass(frozen=True)
class Rules:
    """What the served net, its device and the configuration allow."""

    classes: tuple[ClassName, ...]
    maps: tuple[int, ...]
    size: int
    precisions: tuple[str, ...]
    max_squares: int
    max_squares_crosscheck: int


@dataclass(frozen=True)
class Presentation:
    """How the answer is to look: its format and whether JSON carries PNGs."""

    format: str
    images: bool


def predict_options(given: Mapping[str, Any], rules: Rules) -> int:
    """The `top_k` of a prediction. Raises UnusableOption or InvalidOption."""
    _known(given, PREDICT_OPTIONS, "predictions")
    return _top_k(given, rules)


def explain_options(given: Mapping[str, Any], accept: str, rules: Rules) -> tuple[Options, Presentation]:
    """Check an explanation's options and fill in the defaults of http-api's table.

    Raises UnusableOption for one that is unknown or belongs to a method not asked for, InvalidOption
    for a value, TooMuchWork for more squares or projections than the bounds.
    """
    _known(given, EXPLAIN_OPTIONS, "explanations")
    methods = _methods(given.get("methods", ",".join(METHODS)))
    for name, owner in OWNERS.items():
        if name in given and owner not in methods:
            raise UnusableOption(f"`{name}` is an option of the method {owner}, which `methods` leaves out", name)
    shown = Presentation(_format(given, accept), _boolean("images", given.get("images", True)))
    window = _integer("window", given.get("window", min(32, rules.size)), 1, rules.size, "the picture's side")
    crosscheck = _choice("crosscheck", given.get("crosscheck", "none"), CROSSCHECKS) == "captum"
    layers, feature = _layers(given, rules)
    features = _integer("features", given.get("features", 9), 1, MAX_PROJECTIONS)
    if "features" in given and feature is not None:
        raise UnusableOption("`features` and `feature` exclude each other: give a number or the maps", "features")
    if len(layers) * features > MAX_PROJECTIONS:
        raise TooMuchWork(
            f"{len(layers)} layers x {features} features are more than {MAX_PROJECTIONS} projections; at most "
            f"{MAX_PROJECTIONS // len(layers)} `features` fit {len(layers)} layers",
            "features",
        )
    others = _integer("others", given.get("others", MAX_OTHERS if shown.format in DRAWN else 0), 0, MAX_OTHERS)
    if others and shown.format == "npz":
        raise UnusableOption("`others` are pictures, which npz has none of: leave it out, or ask for json", "others")
    options = Options(
        top_k=_top_k(given, rules),
        methods=methods,
        target=_target(given["target"], rules.classes) if "target" in given else None,
        layers=layers,
        features=features,
        feature=feature,
        others=others,
        window=window,
        stride=_integer("stride", given.get("stride", min(8, window)), 1, window, "the window"),
        fill=_fill(given.get("fill", "gray")),
        precision=_choice(
            "precision", given.get("precision", "float32"), rules.precisions, "that this device computes in"
        ),
        crosscheck=crosscheck,
    )
    if "occlusion" in methods:
        _bound_squares(options, rules)
    return options, shown


def bound_together(options: Options, pictures: int, rules: Rules) -> None:
    """Raise TooMuchWork where so many pictures need more squares or projections than one request may ask for."""
    if pictures < 2:
        return
    asked = []
    if "occlusion" in options.methods:
        count = len(squares(rules.size, rules.size, options.window, options.stride))
        asked.append(("squares", "stride", count, _squares_limit(options, rules)))
    if "deconv" in options.methods:
        count = len(options.layers) * len(options.feature or range(options.features))
        asked.append(("projections", "features", count, MAX_PROJECTIONS))
    for what, option, count, limit in asked:
        if pictures * count > MAX_TOGETHER * limit:
            raise TooMuchWork(
                f"{pictures} pictures x {count:,} {what} are more than this server's {MAX_TOGETHER * limit:,} "
                f"a request: send fewer pictures at once, or ask for fewer {what}",
                option,
            )


def _squares_limit(options: Options, rules: Rules) -> int:
    return rules.max_squares_crosscheck if options.crosscheck else rules.max_squares


def _known(given: Mapping[str, Any], names: tuple[str, ...], route: str) -> None:
    for name in given:
        if name not in names:
            other = " (it is an option of explanations)" if name in EXPLAIN_OPTIONS else ""
            shown = printable(name)
            raise UnusableOption(f"unknown option `{shown}`{other}; {route} take: {', '.join(names)}", shown)


def _bound_squares(options: Options, rules: Rules) -> None:
    limit = _squares_limit(options, rules)
    count = len(squares(rules.size, rules.size, options.window, options.stride))
    if count > limit:
        with_crosscheck = " with `crosscheck`" if options.crosscheck else ""
        stride = smallest_stride(rules.size, rules.size, options.window, limit)
        fits = f"the smallest `stride` that fits is {stride}"
        if stride is None:
            wider = range(options.window, rules.size + 1)
            window = next((w for w in wider if smallest_stride(rules.size, rules.size, w, limit)), rules.size)
            fits = f"no `stride` fits: choose a `window` of {window} or more"
        raise TooMuchWork(
            f"{count:,} squares are more than this server's limit of {limit:,}{with_crosscheck}; {fits}", "stride"
        )


def _top_k(given: Mapping[str, Any], rules: Rules) -> int:
    count = len(rules.classes)
    return _integer("top_k", given.get("top_k", min(5, count)), 1, count, "the number of classes")


def _integer(name: str, value: Any, low: int, high: int, high_is: str = "") -> int:
    expected = f"an integer from {low} to {high}" + (f" ({high_is})" if high_is else "")
    number = _as_integer(value)
    if number is None or not low <= number <= high:
        raise InvalidOption(name, expected, value)
    return number


def _as_integer(value: Any) -> int | None:
    if isinstance(value, str) and len(value.strip()) <= 12:
        text = value.strip()
        return int(text) if text.isascii() and text.removeprefix("-").isdigit() else None
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _boolean(name: str, value: Any) -> bool:
    chosen = {"true": True, "false": False}.get(value.strip().lower()) if isinstance(value, str) else value
    if not isinstance(chosen, bool):
        raise InvalidOption(name, "true or false", value)
    return chosen


def _choice(name: str, value: Any, choices: tuple[str, ...], why: str = "") -> str:
    chosen = value.strip().lower() if isinstance(value, str) else value
    if chosen not in choices:
        raise InvalidOption(name, f"one of {', '.join(choices)}" + (f" ({why})" if why else ""), value)
    return str(chosen)


def _list(name: str, value: Any, expected: str) -> list[Any]:
    parts = value.split(",") if isinstance(value, str) else value if isinstance(value, list) else [value]
    if not 1 <= len(parts) <= MAX_PROJECTIONS:
        raise InvalidOption(name, expected, value)
    return parts


def _distinct(
    name: str, value: Any, expected: str, parse: Callable[[Any], int | None], low: int, high: int
) -> tuple[int, ...]:
    numbers = [parse(part) for part in _list(name, value, expected)]
    if any(n is None or not low <= n <= high for n in numbers) or len(set(numbers)) < len(numbers):
        raise InvalidOption(name, expected, value)
    return tuple(n for n in numbers if n is not None)


def _methods(value: Any) -> frozenset[str]:
    expected = "deconv, occlusion or both, separated by a comma, each once"
    names = [part.strip().lower() if isinstance(part, str) else "" for part in _list("methods", value, expected)]
    if not set(names) <= set(METHODS) or len(set(names)) < len(names):
        raise InvalidOption("methods", expected, value)
    return frozenset(names)


def _layers(given: Mapping[str, Any], rules: Rules) -> tuple[tuple[int, ...], tuple[int, ...] | None]:
    last = len(rules.maps)
    expected = f"one or several of the layers 1 to {last}, separated by commas, each once"
    layers = _distinct("layer", given.get("layer", last), expected, _as_integer, 1, last)
    if "feature" not in given:
        return layers, None
    if len(layers) > 1:
        raise UnusableOption("`feature` names maps of one layer: give one `layer`", "feature")
    maps = rules.maps[layers[0] - 1]
    expected = f"map indices from 0 to {maps - 1} (layer {layers[0]}), separated by commas, each once"
    expected += f", at most {MAX_PROJECTIONS}"
    return layers, _distinct("feature", given["feature"], expected, _as_integer, 0, maps - 1)


def _target(value: Any, classes: tuple[ClassName, ...]) -> int:
    expected = f"a class index from 0 to {len(classes) - 1}, a synset or a label"
    index = _as_integer(value)
    if index is not None:
        return _integer("target", index, 0, len(classes) - 1, "a synset or a label serve too")
    if not isinstance(value, str):
        raise InvalidOption("target", expected, value)
    wanted = _plain(value)
    found = [i for i, c in enumerate(classes) if wanted in (_plain(c.synset), _plain(c.label))]
    if len(found) > 1:
        raise InvalidOption("target", f"unique: {', '.join(classes[i].synset for i in found)} share this label", value)
    if not found:
        raise InvalidOption("target", f"{expected} (such as {classes[0].synset} or {classes[0].label!r})", value)
    return found[0]


def _plain(name: str) -> str:
    return " ".join(name.replace("_", " ").lower().split())


def _fill(value: Any) -> str:
    text = value.strip().lower() if isinstance(value, str) else ""
    if text in FILLS:
        return text
    digits = text.removeprefix("#")
    if len(text) == 7 and len(digits) == 6 and all(c in "0123456789abcdef" for c in digits):
        return text
    raise InvalidOption("fill", f"one of {', '.join(FILLS)} or a colour #rrggbb", value)


def _format(given: Mapping[str, Any], accept: str) -> str:
    if "format" in given:
        return _choice("format", given["format"], FORMATS)
    return accepted_format(accept)


def accepted_format(accept: str) -> str:
    """The format that an Accept header likes best, json where it names none."""
    types = {
        "image/png": "png",
        "image/*": "png",
        "application/x-npz": "npz",
        "text/html": "html",
        "text/*": "html",
        "application/json": "json",
        "*/*": "json",
    }
    ranked = sorted((_accepted(part) for part in accept.split(",")), key=lambda entry: -entry[1])
    return next((types[media] for media, quality in ranked if media in types and quality > 0), "json")


def _accepted(part: str) -> tuple[str, float]:
    """One entry of an Accept header: media type and its quality, 1 where it gives none."""
    media, *parameters = (piece.strip().lower() for piece in part.split(";"))
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return media, float(value)
            except ValueError:
                return media, 0.0
    return media, 1.0
