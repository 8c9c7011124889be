"""How a command says that it failed: in one line, which says what to do, and exit code 1."""

import errno
from typing import Any

import typer
from rich.console import Console
from rich.text import Text
from typer.core import TyperGroup

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def failed(reason: object) -> typer.Exit:
    """The end of a command, whose reason is printed on stderr as it is: paths may look like rich's markup."""
    Console(stderr=True).print(Text(f"error: {reason}"), style="red", soft_wrap=True)
    return typer.Exit(1)


class WatchesTheDisk(TyperGroup):
    """Commands that fail so where a file finds no room. Any other OSError is an error of the program."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except OSError as error:
            if error.errno not in FULL:
                raise
            file = error.filename2 or error.filename or "a file"  # of a copy the second is the one that is written
            raise failed(
                f"{file} cannot be written ({error.strerror}): make room there and give the same command "
                "again: it goes on where it was, or begins anew"
            ) from error
