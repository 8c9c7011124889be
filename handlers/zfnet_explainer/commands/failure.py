"""How a command says that it failed: in one line, which says what to do, and exit code 1."""

import errno
from typing import Any

import typer
from rich.console import Console
from rich.text import Text
from typer.core import TyperGroup

from ..messages import shown

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def failed(reason: object) -> typer.Exit:
    """The end of a command, whose reason is printed on stderr: paths may look like rich's markup."""
    Console(stderr=True).print(Text(f"error: {_told(str(reason))}"), style="red", soft_wrap=True)
    return typer.Exit(1)


def _told(reason: str) -> str:
    """Names of files in it may be anything; its own line breaks stay."""
    return "\n".join(shown(line.expandtabs()) for line in reason.split("\n"))


class WatchesTheDisk(TyperGroup):
    """Commands that fail so at a file that finds no room, or that cannot be used for another reason.

    An OSError that names no file is an error of the program. What is wrong with an option is told as safely.
    """

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except typer.BadParameter as error:
            error.message = _told(error.message)
            raise
        except OSError as error:
            file = error.filename2 or error.filename  # of a copy the second is the one that is written
            if error.errno in FULL:
                done, remedy = "written", "make room there"
            elif file is not None:
                done, remedy = "used", "see to it"
            else:
                raise
            raise failed(
                f"{file or 'a file'} cannot be {done} ({error.strerror}): {remedy} and give the same command again: "
                "it goes on where it was, or begins anew"
            ) from error
