"""What the values of a record, and the names of its files, may be."""

import math
import re
import unicodedata
from pathlib import Path

from ..messages import QUOTE, UNSHOWN

SERVABLE = re.compile("[A-Za-z0-9][A-Za-z0-9._-]*")  # what TorchServe takes as a model's name
CHANNELS = 3


def check_name(name: object) -> None:
    """Raise ValueError for what is no name of a net that could stand in the paths of requests."""
    if not isinstance(name, str) or not SERVABLE.fullmatch(name):
        raise ValueError(
            f"{name!r} cannot stand in URLs: letters, digits and . _ - make a name, the first a letter or a digit"
        )


def check_weights_path(path: Path) -> None:
    """Raise ValueError for a name that no file of weights has, or that they could not be read by."""
    if path.suffix != ".safetensors":
        raise ValueError(f"{path}: weights are written to a .safetensors file")
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"{path}: safetensors reads weights by names in UTF-8 alone: give another") from error


def is_line(text: str) -> bool:
    """Whether it is one line of text, and not blank."""
    return bool(text.strip()) and not any(unicodedata.category(character) in UNSHOWN for character in text)


def check_licence(licence: object) -> None:
    """Raise ValueError for terms that are no line of text."""
    if not isinstance(licence, str) or not is_line(licence):
        raise ValueError(f"the licence is one line of text that is not blank, not {QUOTE.repr(licence)}")


def is_number(value: object) -> bool:
    """Whether it is a number, and finite."""
    return isinstance(value, int | float) and math.isfinite(value)


def are_channels(values: object) -> bool:
    """Whether they are a number for each of a picture's channels."""
    return isinstance(values, tuple | list) and len(values) == CHANNELS and all(map(is_number, values))
