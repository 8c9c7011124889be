"""Lines on a person's terminal."""

from rich.console import Console

from .messages import shown


def tell(console: Console, line: str) -> None:
    """Print a line that has names or a server's words in it: markup is not read, and what cannot be printed escaped."""
    console.print(shown(line), markup=False, emoji=False, highlight=False, soft_wrap=True)
