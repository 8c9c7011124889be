"""Answers that cannot fit are refused before anything is computed: what their numbers take at least, or about.

Each bound raises TooMuchWork for an explanation of so many pictures that would be over `limit` bytes.
"""

from ..errors import TooMuchWork
from ..options import Options
from .request import Request
from .rules import Rules, projection_count, square_count

# About what a probability takes in JSON, and the least that a number of a projection or of logits and a pixel do.
PROBABILITY, NUMBER, PIXEL = len("0.00012345,"), len("0.0,"), len("0,")
FLOAT32 = 4  # bytes; noise in the lower digits of logits leaves little to compress
SMALLER_GRIDS = {
    "plain": "a smaller `top_k`, a larger `stride`, or for npz",
    "v1": "a smaller `top_k` or a larger `stride`",
}
SMALLER_TENSORS = "fewer `features` or `layer`s, a larger `stride`, or only the `outputs` you need"


def smaller(pictures: int, otherwise: str) -> str:
    """What to ask for: where there are several pictures, also fewer of them."""
    if pictures == 1:
        return otherwise
    return f"fewer pictures, {otherwise}" if " or " in otherwise else f"fewer pictures or {otherwise}"


def bound_json(request: Request, options: Options, rules: Rules, limit: int) -> None:
    """What the grids of `by_class` of all pictures take, about."""
    pictures, count, classes = len(request.sound), square_count(options, rules), options.top_k
    if pictures * count * classes * PROBABILITY > limit:
        several = f"{pictures} pictures x " if pictures > 1 else ""
        raise TooMuchWork(
            f"{several}{count:,} squares x {classes:,} classes are an answer over this server's {limit:,} bytes: ask "
            f"for {smaller(pictures, SMALLER_GRIDS[request.protocol])}",
            "top_k",
        )


def bound_npz(_: Request, options: Options, rules: Rules, limit: int) -> None:
    """What the logits take, at least."""
    count, classes = square_count(options, rules), len(rules.classes)
    if count * classes * FLOAT32 > limit:
        raise TooMuchWork(
            f"logits of {count:,} squares x {classes:,} classes are an answer over this server's {limit:,} bytes: ask "
            "for a larger `stride`",
            "stride",
        )


def bound_tensors(request: Request, options: Options, rules: Rules, limit: int) -> None:
    """The wanted projections, pixels and logits, every number of them 0, which JSON writes shortest."""
    pictures, values = len(request.sound), 3 * rules.size**2
    projections = _asked(request, ".projection", pictures * projection_count(options))
    pixels = _asked(request, "image.pixels", pictures)
    grids, count = _asked(request, "occlusion.logits", pictures), square_count(options, rules)
    logits = grids * count * len(rules.classes)
    if (projections * values + logits) * NUMBER + pixels * values * PIXEL > limit:
        raise TooMuchWork(
            f"{projections} projections and {pixels} pictures of {rules.size} x {rules.size} x 3 numbers and "
            f"{logits:,} logits are an answer over this server's {limit:,} bytes: ask for "
            f"{smaller(pictures, SMALLER_TENSORS)}"
        )


def _asked(request: Request, ending: str, there: int) -> int:
    """Of so many tensors whose names end so, those that are answered."""
    named = request.wanted.tensors
    return min(there, sum(name.endswith(ending) for name in named)) if named else there
