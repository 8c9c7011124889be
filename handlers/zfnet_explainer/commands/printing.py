"""Lines that a command prints, whatever names and words are in them."""

from rich.console import Console
from rich.text import Text

from ..messages import shown


def tell(console: Console, line: str) -> None:
    """Print a line that has names or a server's words in it: markup is not read, and what cannot be printed escaped."""
    console.print(Text(shown(line)), soft_wrap=True)
