"""The page that explains a picture a person drops on it: one file that refers to nothing outside itself.

To open it as a file, or to serve it from a gateway, fetch it:

    curl -H 'Accept: text/html' localhost:8080/explanations/zfnet -o explain.html

It then asks for the server's address, and both must let the page's origin in, which is `null` for a file: TorchServe by
`cors_allowed_origin` and `cors_allowed_methods=POST` in config.properties, and the workers by `allowed_origin` in the
archive's model-config.yaml. Where TorchServe asks for keys that is not enough: it refuses the browser's
preflight request (OPTIONS), which carries none.
"""

import base64
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ...explanation import Pixels
from ...pictures.display import CIVIDIS, CLASS_COLOURS, DIVERGING, OTHER_COLOUR, VIRIDIS
from ...pictures.samples import Sample
from ..layout import layout
from ..options import OPTIONS, default_values
from ..rules import Rules
from ..values import as_text

FOLDER = Path(__file__).parent
# One scope, in this order: each file uses only what stands above it.
# The first seven touch neither the document nor the settings: what they need is handed to them.
SCRIPTS = (
    *("words.js", "names.js", "grid.js", "odds.js", "choices.js", "shell.js", "webp.js"),
    *("dom.js", "api.js", "options.js", "messages.js", "picture.js", "samples.js", "scales.js", "contrast.js"),
    *("maps.js", "projections.js", "results.js", "files.js", "app.js"),
)


def _read(*names: str) -> str:
    return "\n".join((FOLDER / name).read_text(encoding="utf-8") for name in names)


def _allowed(inline: str) -> str:
    """What a content security policy calls this one inline style or script."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(inline.encode()).digest()).decode()}'"


STYLE, SCRIPT = _read("page.css"), _read(*SCRIPTS)
# The page may be opened from elsewhere and told its server, hence any host; served by it, it narrows this itself.
POLICY = (
    f"default-src 'none'; style-src {_allowed(STYLE)}; script-src {_allowed(SCRIPT)}; img-src data: blob:; "
    "connect-src http: https:; base-uri 'none'; form-action 'none'"
)


def page(name: str, rules: Rules, samples: Sequence[Sample] = (), crop: float = 1.0) -> bytes:
    """The page for the model served as `name`, with sample pictures; no request's content goes into it.

    `crop` is the share of a picture's shorter side that the net sees.
    """
    settings = {**_settings(name, rules), "crop": crop, "samples": [_sample(sample) for sample in samples]}
    filled = layout("page/page.html").render(name=name, policy=POLICY, style=STYLE, script=SCRIPT, settings=settings)
    return filled.encode()


def _sample(sample: Sample) -> dict[str, str]:
    return {
        "file": Path(sample.file).name,
        "title": sample.title,
        "credit": sample.credit,
        "licence": sample.licence,
        "jpeg": base64.b64encode(sample.jpeg).decode(),
    }


def _settings(name: str, rules: Rules) -> dict[str, Any]:
    return {
        "name": name,
        "size": rules.size,
        "maps": rules.maps,
        "classes": [{"synset": c.synset, "label": c.label} for c in rules.classes],
        "options": option_table(rules),
        "owners": {option.name: option.method for option in OPTIONS if option.method},
        "max_squares": rules.max_squares,
        "max_squares_crosscheck": rules.max_squares_crosscheck,
        "colours": {
            "viridis": _hexadecimal(VIRIDIS),
            "cividis": _hexadecimal(CIVIDIS),
            "diverging": _hexadecimal(DIVERGING),
            "classes": _hexadecimal(CLASS_COLOURS),
            "other": _hexadecimal([OTHER_COLOUR])[0],
        },
    }


def option_table(rules: Rules) -> dict[str, dict[str, Any]]:
    """Every option's default and what it may be, as the page's controls need it: text as clients write it."""
    values = default_values(rules)
    table = {name: {"default": as_text(values[name].default), **values[name].control} for name in values}
    table["others"]["default"] = ""  # it follows the format, and the page asks for several
    return table


def _hexadecimal(colours: Pixels | Sequence[tuple[int, int, int]]) -> list[str]:
    return [f"#{bytes(colour).hex()}" for colour in colours]
