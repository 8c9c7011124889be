"""Measured tables on the terminal, and the option that puts them into pages."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table as Shown

if TYPE_CHECKING:  # torch takes seconds to import: --help does not wait for it
    from ..studies.tables import Table

Pages = Annotated[
    list[Path] | None,
    typer.Option(
        exists=True,
        dir_okay=False,
        writable=True,
        help="A page whose sections <!-- table: NAME --> get the new tables; repeat for more.",
    ),
]


def show(tables: Iterable["Table"]) -> None:
    """Print each table with its title above and its note below."""
    console = Console()
    for table in tables:
        shown = Shown(*table.columns, title=table.title, caption=table.note or None)
        for row in table.rows:
            shown.add_row(*row)
        console.print(shown)
