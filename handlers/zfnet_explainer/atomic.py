"""Files that appear at once or not at all, and JSON in them."""

import json
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def naming(target: Path) -> Iterator[None]:
    """Give an OSError of the block this file's name where it has none, as that of a full disk."""
    try:
        yield
    except OSError as error:
        if error.errno is not None and error.filename is None:
            error.filename = str(target)
        raise


@contextmanager
def whole(target: Path) -> Iterator[Path]:
    """A path to write to; what is there when the block ends without an error appears as `target` at once.

    Also where another process writes the same one. Whoever may read new files (umask) may read it. Raises OSError,
    which names the target.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    staged = target.with_name(f".{secrets.token_hex(8)}.part")
    try:
        staged.touch(exist_ok=False)
    except OSError as error:
        error.filename = str(target)  # nobody knows the other name
        raise
    permissions = stat.S_IMODE(staged.stat().st_mode)
    try:
        with naming(target):
            yield staged
            with staged.open("r+b") as file:  # Windows flushes no other
                os.fsync(file.fileno())
        staged.chmod(permissions)  # safetensors writes through a private file of its own
        staged.replace(target)
    except BaseException:
        staged.unlink(missing_ok=True)
        raise


def json_text(value: object) -> bytes:
    """A file's JSON: one entry a line, names as they are written."""
    return f"{json.dumps(value, indent=1, ensure_ascii=False)}\n".encode()


def read_json(path: Path, expected: str) -> Any:
    """What the file says. Raises ValueError for one that cannot be read, or is no JSON, which is not as `expected`."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise ValueError(f"{expected}: {error}") from error


def write_whole(target: Path, body: bytes) -> None:
    """Write a file that appears at once or not at all. Raises OSError."""
    with whole(target) as staged:
        staged.write_bytes(body)
