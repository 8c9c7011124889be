"""What a model archive says of itself."""

import json
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from .errors import ServingError

MANIFEST = "MAR-INF/MANIFEST.json"
MODEL_CONFIG = "model-config.yaml"
AGAIN = "build it again with `zfnet-explainer package`"


@dataclass(frozen=True)
class Packed:
    """What is read from an archive before it is served.

    `model`: the net's name, under which it is served. `workers` that TorchServe starts, None where that is left to it.
    `allowed_origin`: the other web origin whose pages the workers let ask, `*` for all, empty for none.
    """

    model: str
    workers: int | None
    allowed_origin: str


def read_packed(path: Path) -> Packed:
    """Raises ServingError as `check_archive` does, and where what the archive says cannot be read."""
    check_archive(path)
    with zipfile.ZipFile(path) as archive:
        with _readable(path, MANIFEST):
            model: str = json.loads(archive.read(MANIFEST))["model"]["modelName"]
        if MODEL_CONFIG not in archive.namelist():  # others' archives may have none
            return Packed(model, None, "")
        with _readable(path, MODEL_CONFIG):
            config = yaml.safe_load(archive.read(MODEL_CONFIG)) or {}
            origin = (config.get("explainer") or {}).get("allowed_origin") or ""
            return Packed(model, config.get("minWorkers"), str(origin))


def check_archive(path: Path) -> None:
    """Raise ServingError where a file is missing or is no archive that TorchServe could load."""
    if not path.is_file():
        raise ServingError(f"there is no archive {path}: build it with `zfnet-explainer package`")
    if not zipfile.is_zipfile(path):
        raise ServingError(f"{path} is not a model archive: {AGAIN}")
    with zipfile.ZipFile(path) as archive:
        if MANIFEST not in archive.namelist():
            raise ServingError(f"{path} has no {MANIFEST}: {AGAIN}")


@contextmanager
def _readable(path: Path, member: str) -> Iterator[None]:
    try:
        yield
    except (zipfile.BadZipFile, yaml.YAMLError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise ServingError(f"{path} has a {member} that cannot be read: {AGAIN}") from error
