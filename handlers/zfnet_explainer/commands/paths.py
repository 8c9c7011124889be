"""Where the commands find what comes with the project, and whether they can write what they make."""

from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryFile

import typer

from ..torchserve.shipped import SHIPPED

IN_CHECKOUT = Path("model_store/zfnet.safetensors")
WEIGHTS = IN_CHECKOUT if IN_CHECKOUT.exists() else SHIPPED / IN_CHECKOUT  # also from another folder


def writable(folder: Path) -> None:
    """Ask before any work, which would be lost, whether files can be made in a folder; what is not there stays so.

    Raises typer.BadParameter where they cannot.
    """
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder) as probe:  # permissions do not tell of a file system that is full or read-only
            probe.write(b"probe")
            probe.flush()
    except OSError as error:
        raise typer.BadParameter(f"{folder}: no files can be made in it ({error.strerror}): name another") from error
    finally:
        for path in missing:
            with suppress(OSError):  # it was not made, or another command has put something into it by now
                path.rmdir()
