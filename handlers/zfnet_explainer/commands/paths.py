"""Where the commands find what comes with the project, and whether they can write what they make."""

import os
from pathlib import Path
from tempfile import TemporaryFile

import typer

from ..torchserve.shipped import SHIPPED

IN_CHECKOUT = Path("model_store/zfnet.safetensors")
# Also from another folder, and from one that may not be looked into, as root's under `sudo -u`.
WEIGHTS = IN_CHECKOUT if os.path.exists(IN_CHECKOUT) else SHIPPED / IN_CHECKOUT


def writable(folder: Path) -> None:
    """Ask before any work, which would be lost, whether files can be made in a folder, there already or not.

    Nothing is made: others may be asking at the same time. Raises typer.BadParameter where they cannot.
    """
    try:
        there = next(path for path in (folder, *folder.parents) if _is_there(path))
        for name in folder.relative_to(there).parts:
            _is_there(there / name)  # what no name may be is found out here
        with TemporaryFile(dir=there) as probe:  # permissions do not tell of a file system that is full or read-only
            probe.write(b"probe")
            probe.flush()
    except OSError as error:
        raise typer.BadParameter(f"{folder}: no files can be made in it ({error.strerror}): name another") from error


def _is_there(path: Path) -> bool:
    """Raises OSError where that cannot be asked."""
    try:
        path.lstat()
    except FileNotFoundError:
        return False
    return True
