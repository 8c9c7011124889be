"""What commands share that read labelled pictures: the option --strict, and what it means."""

from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from ..printing import tell

if TYPE_CHECKING:  # torch takes seconds to import: --help does not wait for it
    from ..pictures.stream import Tolerance

Strict = Annotated[
    bool, typer.Option("--strict", help="Let no picture be unreadable; without it up to 1 % are named and left out.")
]


def tolerance(strict: bool, console: Console) -> "Tolerance":
    """What the option tolerates; names of files are printed as they are, whatever they look like."""
    from ..pictures.stream import Tolerance

    return Tolerance(strict, partial(tell, console))
