"""What the served net, its device and the configuration allow, and how much work a request may be."""

from dataclasses import dataclass

from ..errors import TooMuchWork
from ..methods.squares import smallest_stride
from ..net.record import ClassName
from ..options import Options
from .values import MAX_LISTED

MAX_PROJECTIONS = MAX_LISTED
MAX_OTHERS = 9
# All pictures of one request may ask for so many times as much as a single one.
MAX_TOGETHER = 4


@dataclass(frozen=True)
class Rules:
    """What the served net, its device and the configuration allow."""

    classes: tuple[ClassName, ...]
    maps: tuple[int, ...]
    size: int
    precisions: tuple[str, ...]
    max_squares: int
    max_squares_crosscheck: int
    keeps_float32: bool
    max_others: int  # 0 without an atlas


def square_count(options: Options, rules: Rules) -> int:
    """How many squares each picture is covered with."""
    if "occlusion" not in options.methods:
        return 0
    return len(options.squares(rules.size))


def projection_count(options: Options) -> int:
    """How many maps are projected for each picture."""
    return len(options.layers) * len(options.feature or range(options.features)) if "deconv" in options.methods else 0


def bound_squares(options: Options, rules: Rules) -> None:
    """Raise TooMuchWork for more squares than a picture may have."""
    limit, count = _squares_limit(options, rules), square_count(options, rules)
    if count <= limit:
        return
    with_crosscheck = " with `crosscheck`" if options.crosscheck else ""
    fits, at_fault = _what_fits(options.squares(rules.size).window, rules.size, limit)
    raise TooMuchWork(
        f"{count:,} squares are more than this server's limit of {limit:,}{with_crosscheck}; {fits}", at_fault
    )


def _what_fits(given: int, size: int, limit: int) -> tuple[str, str]:
    """What to ask for instead where a window's squares are too many, and the option that this changes."""
    stride = smallest_stride(size, size, given, limit)
    if stride is not None:
        return f"the smallest `stride` that fits is {stride}", "stride"
    window = next((w for w in range(given, size + 1) if smallest_stride(size, size, w, limit)), size)
    return f"no `stride` fits: choose a `window` of {window} or more", "window"


def bound_together(options: Options, pictures: int, rules: Rules) -> None:
    """Raise TooMuchWork where so many pictures need more squares or projections than one request may ask for."""
    if pictures < 2:
        return
    asked = (
        ("squares", "stride", square_count(options, rules), _squares_limit(options, rules)),
        ("projections", "features", projection_count(options), MAX_PROJECTIONS),
    )
    for what, option, count, limit in asked:
        if pictures * count > MAX_TOGETHER * limit:
            raise TooMuchWork(
                f"{pictures} pictures x {count:,} {what} are more than this server's {MAX_TOGETHER * limit:,} "
                f"a request: send fewer pictures at once, or ask for fewer {what}",
                option,
            )


def _squares_limit(options: Options, rules: Rules) -> int:
    return rules.max_squares_crosscheck if options.crosscheck else rules.max_squares
