"""The folder that a running server has to itself: temporary files, logs, configuration, model store."""

import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from .errors import ServingError

try:
    import fcntl
except ModuleNotFoundError:  # Windows
    fcntl = None  # type: ignore[assignment]

# The kernel's limit for a socket's path is 108 bytes (104 on macOS); the name takes the rest.
LONGEST_SOCKET_FOLDER = 84


@dataclass(frozen=True)
class RunFolder:
    """Paths of a run folder; all absolute."""

    root: Path

    @property
    def tmp(self) -> Path:
        return self.root / "tmp"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def store(self) -> Path:
        return self.root / "model_store"

    @property
    def config(self) -> Path:
        return self.root / "config.properties"

    @property
    def lock(self) -> Path:
        return self.root / "lock"

    @property
    def key_file(self) -> Path:
        """TorchServe's tokens; it writes them into the folder it is started in."""
        return self.root / "key_file.json"

    @property
    def leaving(self) -> Path:
        """It exists from the moment on when the server wants no new clients: probes then say not ready."""
        return self.root / "leaving"

    def empty(self) -> None:
        """Remove what the last run has left, but its logs, which stay in logs.previous."""
        previous = self.root / "logs.previous"
        if self.logs.exists():
            shutil.rmtree(previous, ignore_errors=True)
            self.logs.rename(previous)
        for folder in (self.tmp, self.store):
            shutil.rmtree(folder, ignore_errors=True)
        for folder in (self.tmp, self.store, self.logs):
            folder.mkdir()
        self.key_file.unlink(missing_ok=True)
        self.leaving.unlink(missing_ok=True)


@contextmanager
def claimed(root: Path) -> Iterator[tuple[RunFolder, TextIO]]:
    """Hold the run folder, made where it is missing, against every other server; and its lock, to be handed on.

    A process that inherits the lock keeps it, however the one before it ends. What is in it says which process that is.
    """
    folder = RunFolder(root.resolve())
    if len(os.fsencode(folder.tmp)) > LONGEST_SOCKET_FOLDER:
        raise ServingError(f"the path {folder.root} is too long for the workers' sockets: give a shorter --run-dir")
    if fcntl is None:
        raise ServingError("the server runs on Linux and macOS: on Windows use WSL or the container")
    with _lock_file(folder) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.seek(0)
            what = f"another server runs in {folder.root} ({lock.read() or 'it is starting'})"
            raise ServingError(f"{what}: stop it or give another --run-dir") from error
        except OSError as error:
            raise _unfit(folder.root, "files cannot be locked", error) from error
        lock.truncate(0)
        _check_sockets(folder)
        yield folder, lock


def make(root: Path) -> None:
    """Make the run folder where it is missing, for its owner alone: it will hold keys.

    Raises ServingError where it cannot be made, and for a folder with others' files where a start writes.
    """
    _check_ours(RunFolder(root.resolve()))
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(root, error) from error


def _check_ours(folder: RunFolder) -> None:
    """Raise ServingError for a folder with others' files where a start writes; one that was used has a lock."""
    written = (folder.tmp, folder.store, folder.logs, folder.config, folder.key_file)
    # Not `path.exists()`: until Python 3.14 that raises PermissionError in a folder that may not be looked into.
    others = [path.name for path in written if os.path.exists(path)]
    if others and not os.path.exists(folder.lock):
        raise ServingError(
            f"{folder.root} has {', '.join(others)}, which no server has made and a start would empty or replace: "
            "give another --run-dir"
        )


def _lock_file(folder: RunFolder) -> TextIO:
    """Open the folder's lock, and make the folder where it is missing."""
    make(folder.root)
    try:
        return folder.lock.open("a+")
    except OSError as error:
        raise _unwritable(folder.root, error) from error


def _check_sockets(folder: RunFolder) -> None:
    """Raise ServingError for a file system that the workers cannot open their sockets on."""
    with tempfile.TemporaryDirectory(prefix=".sockets-", dir=folder.root) as name:
        try:
            with socket.socket(socket.AF_UNIX) as probe:
                probe.bind(f"{name}/s")
        except OSError as error:
            raise _unfit(folder.root, "sockets cannot be opened", error) from error


def _unfit(root: Path, what: str, error: OSError) -> ServingError:
    return ServingError(f"{what} in {root} ({error.strerror}): give a --run-dir on a local file system")


def _unwritable(root: Path, error: OSError) -> ServingError:
    return ServingError(f"{root} cannot be written ({error.strerror}): give another --run-dir")
