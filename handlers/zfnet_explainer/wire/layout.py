"""The layouts of HTML answers: whatever is put into one is escaped, and what it lacks is an error."""

from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template


@cache
def layout(name: str) -> Template:
    """The layout in a file of this folder."""
    files = FileSystemLoader(Path(__file__).parent)
    environment = Environment(
        loader=files, autoescape=True, undefined=StrictUndefined, trim_blocks=True, keep_trailing_newline=True
    )
    environment.policies["json.dumps_kwargs"] = {}  # a mapping's order is its own
    return environment.get_template(name)
