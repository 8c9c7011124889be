"""A picture that `zfnet-explainer explain` has explained, here or by a server: read, asked about, refused."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer
from rich.console import Console

from ..pictures.files import UNREADABLE, read_file
from ..printing import tell

OPTION_CODES = ("invalid_option", "too_much_work")

Options = dict[str, str]
Ask = Callable[[bytes], tuple[int, bytes]]  # a picture -> status, body


class Aborted(Exception):
    """No other picture would fare better, whichever is next; the message says why and what to do."""

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code


@contextmanager
def ending() -> Iterator[None]:
    """End the command where the block is aborted: the reason on stderr, and its exit code."""
    try:
        yield
    except Aborted as error:
        tell(Console(stderr=True), str(error))
        raise typer.Exit(error.exit_code) from error


def answer_to(picture: Path, ask: Ask) -> tuple[int, bytes]:
    """What is answered to a file, or that it cannot be read.

    Raises Aborted where that is not the file's fault, such as a stale handle of NFS: another time it may be read.
    """
    try:
        content = read_file(picture)
    except OSError as error:
        if error.errno not in UNREADABLE:
            raise Aborted(f"{picture} cannot be read now: {error.strerror}") from error
        return 400, f"it cannot be read: {error.strerror}".encode()
    return ask(content)


def check_options(status: int, body: bytes) -> None:
    """Raise Aborted where an answer refuses the options that all pictures are asked with."""
    error = _error(body)
    if status == 400 and error.get("code") in OPTION_CODES and "option" in error:
        raise Aborted(f"no picture is explained with these options: {reason(body)}", os.EX_USAGE)


def reason(body: bytes) -> str:
    """What a refusal says in words, or its beginning where it is none of the contract's."""
    message = _error(body).get("message")
    return message if isinstance(message, str) else body.decode(errors="replace")[:300]


def _error(body: bytes) -> dict[str, Any]:
    """The contract's `error`; empty where the body is something else."""
    error = field(body, "error")
    return error if isinstance(error, dict) else {}


def field(body: bytes, name: str) -> Any:
    """A field of a JSON object; None where it lacks it, or the body is something else."""
    try:
        content = json.loads(body)
    except ValueError:
        return None
    return content.get(name) if isinstance(content, dict) else None
