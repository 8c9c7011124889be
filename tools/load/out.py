"""The page that a tool writes: --out, looked at before anything is measured, what stands in it, and how it is saved."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from zfnet_explainer.atomic import json_text, write_whole
from zfnet_explainer.commands.paths import writable
from zfnet_explainer.studies.tables import Table


def in_a_writable_folder(page: Path) -> Path:
    """The page. Raises typer.BadParameter where nothing can be written, and for a page in the place of its figures."""
    if page == page.with_suffix(".json"):
        raise typer.BadParameter(f"{page} is where the figures go: name the page .md")
    writable(page.parent)
    return page


Out = Annotated[
    Path,
    typer.Option(
        dir_okay=False,
        writable=True,
        callback=in_a_writable_folder,
        help="The page; the figures go beside it as JSON.",
    ),
]


def page(title: str, tool: str, facts: Mapping[str, object], *parts: Sequence[str]) -> str:
    """Markdown: what was measured and with which tool, the facts, and parts in lines."""
    lines = [f"# {title}, as measured", "", f"Written by {tool}.", "", *(f"- {name}: {facts[name]}" for name in facts)]
    return "\n".join([*lines, *(line for part in parts for line in ("", *part)), ""])


def table(columns: Sequence[str], rows: Iterable[Iterable[object]]) -> list[str]:
    """Lines of Markdown."""
    return Table("", "", tuple(columns), tuple(tuple(map(str, row)) for row in rows)).markdown().splitlines()


def save(page: Path, text: str, figures: Mapping[str, object]) -> None:
    """Write the page, and its figures beside it."""
    write_whole(page.with_suffix(".json"), json_text(figures))
    write_whole(page, text.encode())
