"""Which tensors an explanation has in the Open Inference Protocol, told before there is one.

Which maps of a layer are the strongest is for the net to say: where the options do not name them, each may be wanted.
"""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches

from ...errors import MalformedBody
from ...messages import printable
from ...options import Options
from ..arrays import CONTRAST, DEVIATION, MAP, OCCLUSION, PICTURE
from ..rules import Rules

SHARED = ("probabilities", "classes")


def check_outputs(wanted: Iterable[str], options: Options, pictures: int, rules: Rules) -> None:
    """Raise MalformedBody for an output that no explanation of so many pictures has under these options."""
    numbers = [f"{number}." for number in range(pictures)] if pictures > 1 else [""]
    fixed = _fixed(options, rules)
    of_picture = {*fixed, *_maps(options, rules)}
    for name in wanted:
        own = {name.removeprefix(number) for number in numbers if name.startswith(number)}
        if name not in SHARED and not own & of_picture:
            before = f"<0-{pictures - 1}>." if pictures > 1 else ""
            raise unknown_output(name, [*SHARED, *(before + one for one in (*fixed, *_maps_in_short(options)))])


def refuse_absent(wanted: Iterable[str], there: set[str]) -> None:
    """Raise MalformedBody for an output that `check_outputs` let pass and that these pictures have not."""
    for name in wanted:
        if name not in there:
            raise MalformedBody(
                f"there is no output `{printable(name)}`: that map is not among the strongest; name it with `feature`, "
                "or ask for more `features`"
            )


def unknown_output(name: str, there: Sequence[str]) -> MalformedBody:
    """The error for an output that is not there, with all that are, those first that are called alike."""
    shown = printable(name)
    alike = get_close_matches(shown, there)
    return MalformedBody(f"there is no output `{shown}`; there are {', '.join(dict.fromkeys([*alike, *there]))}")


def _fixed(options: Options, rules: Rules) -> list[str]:
    """The names that do not depend on the picture."""
    names = [*PICTURE]
    if "occlusion" in options.methods:
        rounded = [DEVIATION] if options.precision != "float32" or not rules.keeps_float32 else []
        names += [f"occlusion.{name}" for name in (*OCCLUSION, *rounded)]
        if options.contrast is not None:
            names += [f"occlusion.contrast.{name}" for name in (*CONTRAST, *rounded)]
    if options.crosscheck:
        names += [f"crosscheck.{method}.max_relative_difference" for method in sorted(options.methods)]
    return names


def _maps(options: Options, rules: Rules) -> list[str]:
    if "deconv" not in options.methods:
        return []
    return [
        f"deconv.{layer}.{feature}.{name}"
        for layer in options.layers
        for feature in options.feature or range(rules.maps[layer - 1])
        for name in MAP
    ]


def _maps_in_short(options: Options) -> list[str]:
    """A name for each kind of a map's tensors."""
    if "deconv" not in options.methods:
        return []
    layers, features = ("|".join(map(str, some)) for some in (options.layers, options.feature or ("<map>",)))
    return [f"deconv.{layers}.{features}.{name}" for name in MAP]
