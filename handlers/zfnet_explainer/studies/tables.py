"""Tables of measured results, and their place in pages of Markdown."""

import re
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..atomic import whole

SECTION = re.compile(r"(<!-- table: (\S+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)


@dataclass(frozen=True)
class Table:
    """Rows of text under their columns, the first `keys` of which say what a row is of.

    `name` is that of its section in a page.
    """

    name: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""
    keys: int = 1

    def markdown(self) -> str:
        """The table in Markdown, its note below it."""
        lines = [self.columns, ("---",) * len(self.columns), *self.rows]
        text = "".join("| " + " | ".join(cell.replace("|", r"\|") for cell in line) + " |\n" for line in lines)
        return f"{text}\n{self.note}\n" if self.note else text


def rewrite(page: Path, tables: Sequence[Table]) -> None:
    """Put each table into its section of the page, from `<!-- table: NAME -->` to `<!-- end -->`.

    Sections of tables that are not there stay as they are. Raises ValueError for a page without one of theirs.
    """
    known = {table.name: table.markdown() for table in tables}
    found: list[str] = []

    def replaced(section: re.Match[str]) -> str:
        start, name, content, end = section.groups()
        found.append(name)
        return start + known.get(name, content) + end

    permissions = stat.S_IMODE(page.stat().st_mode)
    text = SECTION.sub(replaced, page.read_text(encoding="utf-8"))
    if not known.keys() & set(found):
        raise ValueError(f"{page} has no section <!-- table: NAME --> for any of {', '.join(known)}")
    page = page.resolve()  # a link stays one
    with whole(page) as staged:
        staged.write_text(text, encoding="utf-8")
    page.chmod(permissions)


def percent(share: float | None, digits: int = 1) -> str:
    return "–" if share is None else f"{100 * share:.{digits}f} %"
