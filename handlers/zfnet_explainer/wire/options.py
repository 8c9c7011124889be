"""Options as clients write them -> checked values: one table of what there is, and what limits them together."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ..errors import InvalidOption, TooMuchWork, UnusableOption
from ..messages import printable
from ..net.record import ClassName
from ..options import METHODS, STRIDE, WINDOW, Options
from .accept import MEDIA_TYPES, accepted_format
from .rules import MAX_PROJECTIONS, Rules, bound_squares
from .values import Boolean, Both, Choice, ClassIndex, Fill, Integer, Integers, Values, as_text

FORMATS = tuple(MEDIA_TYPES)
DRAWN = ("png", "html")
SECOND = "second"
CROSSCHECKS = ("none", "captum")
MAX_TEXT = 8192  # characters of an option
# What such an option asks for, where an answer has no place for it.
WITHOUT_PLACE = {
    "top_k": "is about lists of predictions, in whose place this answer has the probability of every class",
    "images": "is about the PNGs inside of json, and this answer has none",
}
# The options that an answer has no place for, by its protocol or by its format.
NUMBERS = ("top_k", "images")
PLACELESS: Mapping[str, tuple[str, ...]] = {"v2": NUMBERS, "npz": NUMBERS, "png": ("images",), "html": ("images",)}


@dataclass(frozen=True)
class Presentation:
    """How the answer is to look: its format and whether JSON carries PNGs."""

    format: str
    images: bool


@dataclass(frozen=True)
class Known:
    """What an option's values depend on: the rules, the Accept header, and the options above it in the table."""

    rules: Rules
    accept: str
    checked: dict[str, Any]


@dataclass(frozen=True)
class Option:
    """One option: what it may be, and the method that it is about, if it is about one."""

    name: str
    values: Callable[[Known], Values]
    method: Literal["deconv", "occlusion"] | None = None


def _top_k(known: Known) -> Values:
    count = len(known.rules.classes)
    return Integer(1, count, "the number of classes", default=min(5, count))


def _layer(known: Known) -> Values:
    last = len(known.rules.maps)
    expected = f"one or several of the layers 1 to {last}, separated by commas, each once"
    return Integers(1, last, expected, default=(last,))


def _feature(known: Known) -> Values:
    layer = known.checked["layer"][0]
    last = known.rules.maps[layer - 1] - 1
    expected = (
        f"map indices from 0 to {last} (layer {layer}), separated by commas, each once, at most {MAX_PROJECTIONS}"
    )
    return Integers(0, last, expected, default=None)


def _others(known: Known) -> Values:
    most = known.rules.max_others
    why = "" if most else "this server has no atlas of other pictures"
    return Integer(0, most, why, default=most if known.checked["format"] in DRAWN else 0)


def _window(known: Known) -> Values:
    return Integer(
        1, known.rules.size, "the side of the picture as the net sees it", default=min(WINDOW, known.rules.size)
    )


def _stride(known: Known) -> Values:
    window = known.checked["window"]
    return Integer(1, window, "the window", default=min(STRIDE, window))


# In the order in which they are checked: each may depend on those above it.
OPTIONS = (
    Option("top_k", _top_k),
    Option("methods", lambda _: Both(METHODS)),
    Option("target", lambda known: ClassIndex(known.rules.classes)),
    Option("contrast", lambda known: ClassIndex(known.rules.classes, SECOND), "occlusion"),
    Option("format", lambda known: Choice(FORMATS, default=accepted_format(known.accept))),
    Option("images", lambda _: Boolean(default=True)),
    Option("layer", _layer, "deconv"),
    Option("features", lambda _: Integer(1, MAX_PROJECTIONS, default=9), "deconv"),
    Option("feature", _feature, "deconv"),
    Option("others", _others, "deconv"),
    Option("window", _window, "occlusion"),
    Option("stride", _stride, "occlusion"),
    Option("fill", lambda _: Fill(default="gray"), "occlusion"),
    Option(
        "precision",
        lambda known: Choice(known.rules.precisions, default="float32", why="that this device computes in"),
        "occlusion",
    ),
    Option("crosscheck", lambda _: Choice(CROSSCHECKS, default="none")),
)
EXPLAIN_OPTIONS = tuple(option.name for option in OPTIONS)
PREDICT_OPTIONS = ("top_k",)


def predict_options(given: Mapping[str, Any], rules: Rules, protocol: str) -> int:
    """The `top_k` of a prediction. Raises UnusableOption or InvalidOption."""
    _refuse_unknown(given, PREDICT_OPTIONS, "predictions", protocol)
    options = [option for option in OPTIONS if option.name in PREDICT_OPTIONS]
    top_k: int = _check(given, Known(rules, "", {}), options)["top_k"]
    return top_k


def explain_options(given: Mapping[str, Any], accept: str, rules: Rules, protocol: str) -> tuple[Options, Presentation]:
    """Check an explanation's options and fill in the defaults of `OPTIONS`.

    Raises UnusableOption for one that is unknown, belongs to a method not asked for or has no place in the answer,
    InvalidOption for a value, TooMuchWork for more squares or projections than the bounds.
    """
    _refuse_unknown(given, EXPLAIN_OPTIONS, "explanations", protocol)
    checked = _check(given, Known(rules, accept, {}), OPTIONS)
    _check_projections(given, checked)
    _check_place(given, checked, protocol)
    shown = Presentation(checked.pop("format"), checked.pop("images"))
    options = Options(layers=checked.pop("layer"), crosscheck=checked.pop("crosscheck") == "captum", **checked)
    bound_squares(options, rules)
    return options, shown


def default_values(rules: Rules) -> dict[str, Values]:
    """What every option of an explanation may be where nothing is given, by name."""
    known, found = Known(rules, "", {}), {}
    for option in OPTIONS:
        found[option.name] = option.values(known)
        known.checked[option.name] = found[option.name].default
    return found


def as_written(options: Options, classes: tuple[ClassName, ...]) -> Iterator[tuple[str, str]]:
    """Checked options as a client would write them, but for those of methods that were not asked for."""
    say = ClassIndex(classes, SECOND).written
    values = vars(options) | {"layer": options.layers, "crosscheck": "captum" if options.crosscheck else "none"}
    excluded = "feature" if options.feature is None else "features"
    for option in OPTIONS:
        name, asked = option.name, option.method is None or option.method in options.methods
        if name in values and name != excluded and asked and values[name] is not None:
            said = name in ("target", "contrast") and values[name] != SECOND
            yield name, say(values[name]) if said else as_text(values[name])


def _refuse_unknown(given: Mapping[str, Any], known: tuple[str, ...], route: str, protocol: str) -> None:
    placeless = PLACELESS.get(protocol, ())
    _refuse_placeless(given, placeless)
    names = [name for name in known if name not in placeless]
    for name in given:
        if name not in names:
            other = " (it is an option of explanations)" if name in EXPLAIN_OPTIONS else ""
            shown = printable(name)
            raise UnusableOption(f"unknown option `{shown}`{other}; {route} take: {', '.join(names) or 'none'}", shown)


def _check(given: Mapping[str, Any], known: Known, options: Iterable[Option]) -> dict[str, Any]:
    """Every option's value, given or by default."""
    for option in options:
        name, values = option.name, option.values(known)
        text = given.get(name)
        if isinstance(text, str) and len(text) > MAX_TEXT:  # reading would make it many times larger
            raise InvalidOption(name, f"a text of at most {MAX_TEXT:,} characters", text)
        if name in given and option.method and option.method not in known.checked["methods"]:
            raise UnusableOption(
                f"`{name}` is an option of the method {option.method}, which `methods` leaves out", name
            )
        known.checked[name] = values.parse(name, given[name]) if name in given else values.default
    return known.checked


def _check_projections(given: Mapping[str, Any], checked: Mapping[str, Any]) -> None:
    layers, features = len(checked["layer"]), checked["features"]
    if "feature" in given and "features" in given:
        raise UnusableOption("`features` and `feature` exclude each other: give a number or the maps", "features")
    if "feature" in given and layers > 1:
        raise UnusableOption("`feature` names maps of one layer: give one `layer`", "feature")
    if layers * features > MAX_PROJECTIONS:
        raise TooMuchWork(
            f"{layers} layers x {features} features are more than {MAX_PROJECTIONS} projections; at most "
            f"{MAX_PROJECTIONS // layers} `features` fit {layers} layers",
            "features",
        )


def _check_place(given: Mapping[str, Any], checked: Mapping[str, Any], protocol: str) -> None:
    """Raise for a format that the protocol has not, and for what an answer in this one could not follow."""
    form = checked["format"]
    if protocol != "plain" and form != "json":
        raise InvalidOption("format", "json on the KServe routes", form)
    _refuse_placeless(given, PLACELESS.get(form, ()))
    if checked["others"] and protocol == "v2":
        raise UnusableOption("`others` are pictures, of which there are no tensors: leave it out", "others")
    if checked["others"] and form == "npz":
        raise UnusableOption("`others` are pictures, which npz has none of: leave it out, or ask for json", "others")


def _refuse_placeless(given: Mapping[str, Any], names: Iterable[str]) -> None:
    for name in names:
        if name in given:
            raise UnusableOption(f"`{name}` {WITHOUT_PLACE[name]}: leave it out", name)
