"""A study's tables on the terminal."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table as Shown

if TYPE_CHECKING:  # torch takes seconds to import: --help does not wait for it
    from ..tables import Table


def show(tables: Iterable["Table"]) -> None:
    """Print each table with its title above and its note below."""
    console = Console()
    for table in tables:
        shown = Shown(*table.columns, title=table.title, caption=table.note or None)
        for row in table.rows:
            shown.add_row(*row)
        console.print(shown)
