"""A command that finds the disk full, from a device that always is."""

import errno
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from zfnet_explainer.atomic import naming
from zfnet_explainer.commands.failure import WatchesTheDisk

FULL = Path("/dev/full")
app = typer.Typer(cls=WatchesTheDisk)


@app.command()
def named() -> None:
    with naming(Path("a [/b]/:cat:")):
        FULL.write_bytes(b"x")


@app.command()
def unnamed() -> None:
    FULL.write_bytes(b"x")


@app.command()
def copied() -> None:
    """As `shutil.copyfile` raises it."""
    raise OSError(errno.EDQUOT, "No space left on device", "what is read", None, "what is written")


@app.command()
def denied() -> None:
    raise PermissionError(errno.EACCES, "Permission denied", "a file")


@app.command()
def strange() -> None:
    raise PermissionError(errno.EACCES, "Permission denied", "\x1b[2J\udcff")


@app.command()
def no_file() -> None:
    raise ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")


@pytest.mark.parametrize(
    ("command", "file"), [("named", "a [/b]/:cat:"), ("unnamed", "a file"), ("copied", "what is written")]
)
def test_is_one_line_that_names_the_file_and_ends_with_1(command: str, file: str) -> None:
    done = CliRunner().invoke(app, [command])
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == (
        f"error: {file} cannot be written (No space left on device): make room there and give the same command "
        "again: it goes on where it was, or begins anew\n"
    )


def test_a_file_that_cannot_be_used_is_one_line_too() -> None:
    done = CliRunner().invoke(app, ["denied"])
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == (
        "error: a file cannot be used (Permission denied): see to it and give the same command again: it goes on where "
        "it was, or begins anew\n"
    )


def test_a_name_that_would_move_the_cursor_is_told_as_python_writes_it() -> None:
    assert CliRunner().invoke(app, ["strange"], color=True).stderr.startswith("error: \\x1b[2J\\udcff cannot be used")


def test_an_error_of_no_file_is_left_as_it_is() -> None:
    done = CliRunner().invoke(app, ["no-file"])
    assert isinstance(done.exception, ConnectionResetError)
