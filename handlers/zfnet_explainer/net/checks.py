"""What the values of a record, and the names of its files, may be."""

import math
import re
import unicodedata
from pathlib import Path

SERVABLE = re.compile("[A-Za-z0-9][A-Za-z0-9._-]*")  # what TorchServe takes as a model's name
UNWRITABLE = ("Cc", "Cs", "Zl", "Zp")  # control characters, halves of one, and what ends a line
CHANNELS = 3


def check_name(name: object) -> None:
    """Raise ValueError for what is no name of a net that could stand in the paths of requests."""
    if not isinstance(name, str) or not SERVABLE.fullmatch(name):
        raise ValueError(
            f"{name!r} cannot stand in URLs: letters, digits and . _ - make a name, the first a letter or a digit"
        )


def check_weights_path(path: Path) -> None:
    """Raise ValueError for a name that no file of weights has."""
    if path.suffix != ".safetensors":
        raise ValueError(f"{path}: weights are written to a .safetensors file")


def is_line(text: str) -> bool:
    """Whether it is one line of text, and not blank."""
    return bool(text.strip()) and not any(unicodedata.category(character) in UNWRITABLE for character in text)


def is_number(value: object) -> bool:
    """Whether it is a number, and finite."""
    return isinstance(value, int | float) and math.isfinite(value)


def are_channels(values: object) -> bool:
    """Whether they are a number for each of a picture's channels."""
    return isinstance(values, tuple | list) and len(values) == CHANNELS and all(map(is_number, values))
