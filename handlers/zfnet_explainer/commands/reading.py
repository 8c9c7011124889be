"""The option that commands share which read labelled pictures."""

from typing import Annotated

import typer

Strict = Annotated[
    bool, typer.Option("--strict", help="Let no picture be unreadable; without it up to 1 % are named and left out.")
]
