"""Measured tables on the terminal, and the option that puts them into pages."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table as Shown
from rich.text import Text

from .failure import failed

if TYPE_CHECKING:  # torch takes seconds to import: --help does not wait for it
    from ..studies.tables import Table

GAP = 2  # between columns


def _with_sections(pages: list[Path] | None) -> list[Path] | None:
    """Asked before any work, which such a page would get nothing of."""
    from ..studies.tables import SECTION

    for page in pages or ():
        try:
            text = page.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise typer.BadParameter(f"{page} is no page in UTF-8 ({error}): save it so") from error
        if not SECTION.search(text):
            raise typer.BadParameter(f"{page} has no section <!-- table: NAME --> ... <!-- end --> for a table")
    return pages


Pages = Annotated[
    list[Path] | None,
    typer.Option(
        callback=_with_sections,
        exists=True,
        dir_okay=False,
        writable=True,
        help="A page whose sections <!-- table: NAME --> get the new tables; repeat for more.",
    ),
]


def put(pages: Iterable[Path] | None, tables: "Sequence[Table]") -> None:
    """Put the tables into their sections of all pages; then the command fails where one has no section of theirs."""
    from ..studies.tables import rewrite

    refused = []
    for page in pages or ():
        try:
            rewrite(page, tables)
        except ValueError as error:
            refused.append(str(error))
    if refused:
        raise failed("\n".join(refused))


@contextmanager
def shown_at_last(tables: "Sequence[Table]") -> Iterator[None]:
    """Show them after the block, which writes them: neither a full disk nor a reader that has gone loses them."""
    try:
        yield
    finally:
        show(tables)


def show(tables: Iterable["Table"]) -> None:
    """Print each table with its title above and its note below, side by side what fits and the rest below that.

    As it is written: names of classes and files may look like rich's markup.
    """
    console = Console()
    for table in tables:
        console.print(Text(table.title), style="italic")
        for columns in _fitting(table, console.width):
            shown = Shown(box=SIMPLE_HEAD, show_edge=False, padding=(0, GAP - 1, 0, 0))
            for column in columns:
                shown.add_column(Text(table.columns[column]), width=_width(table, column))
            for row in table.rows:
                shown.add_row(*(Text(row[column]) for column in columns))
            console.print(shown)
        if table.note:
            console.print(Text(table.note))


def _fitting(table: "Table", width: int) -> list[list[int]]:
    """The columns in parts no wider than that, each part with the columns that say what a row is of."""
    keys = list(range(table.keys))
    parts = [keys]
    for column in range(table.keys, len(table.columns)):
        wider = [*parts[-1], column]
        if parts[-1] == keys or sum(_width(table, one) + GAP for one in wider) <= width:
            parts[-1] = wider
        else:
            parts.append([*keys, column])
    return parts


def _width(table: "Table", column: int) -> int:
    """Of the longest cell, and of the heading's longest word: headings alone are broken into lines."""
    return max(map(cell_len, [*table.columns[column].split(), *(row[column] for row in table.rows)]))
