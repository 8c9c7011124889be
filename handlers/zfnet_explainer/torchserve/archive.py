"""The model archive (.mar): the handler, its code, the weights, their record, card, atlas and samples, in one file."""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import tomllib
import zipfile
import zlib
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import yaml

from ..atomic import naming
from ..net.checks import check_name
from ..pictures import samples
from ..pictures.atlas import BadAtlas, atlas_folder, load_atlas
from ..service.settings import Limits
from .devices import Device
from .errors import ServingError
from .packed import MANIFEST, MODEL_CONFIG
from .shipped import PACKAGE, SHIPPED, SOURCES

MODEL = "zfnet"
WEIGHTS = f"{MODEL}.safetensors"
RECORD = f"{MODEL}.json"
CARD = "README.md"  # what the shipped weights are, and on which terms they and their samples are given
LICENCES = "LICENSES"  # the texts of these terms
HANDLER = "zfnet_handler.py"

CONFIG_TEMPLATE = SHIPPED / "deploy" / MODEL_CONFIG
# The rooms of the package that answer requests travel, each as a whole, and nothing else.
FOR_WORKERS = {
    "__init__.py", "atomic.py", "cores.py", "crosscheck.py", "errors.py", "explainer.py", "explanation.py",
    "messages.py", "methods", "net", "options.py", "pictures", "service", "wire",
}  # fmt: skip

WITHOUT_RECORD = "; `zfnet-explainer import` makes a checkpoint, weights and record, of a state dict"

TORCHSERVE_DEVICES = {Device.CPU: "cpu", Device.CUDA: "gpu"}


@dataclass(frozen=True)
class WorkerOptions:
    """How TorchServe runs the workers of an archive; they are written into it and win over the server's own."""

    workers: int = 1
    batch_size: int = 1
    max_batch_delay_ms: int = 20
    device: Device = Device.AUTO
    max_response_bytes: int = Limits.max_response_bytes
    allowed_origin: str = ""


def ensure_archive(out: Path, weights: Path, options: WorkerOptions) -> bool:
    """Build the archive `out` unless it already holds exactly this; True where it was built."""
    members = archive_members(weights, options)
    if _holds(out, members):
        return False
    pack(members, out, json.loads(members[RECORD])["name"])
    return True


def archive_members(weights: Path, options: WorkerOptions) -> dict[str, bytes]:
    """Everything a worker needs, by its name inside the archive."""
    members = {
        HANDLER: _read(SOURCES / HANDLER, "the handler"),
        MODEL_CONFIG: model_config(options).encode(),
        WEIGHTS: _read(weights, "the weights", "; name them with --weights"),
        RECORD: _read(weights.with_suffix(".json"), "the record of the weights", WITHOUT_RECORD),
    }
    _check_pair(members[WEIGHTS], members[RECORD], weights)
    for path in sorted(PACKAGE.rglob("*")):
        parts = path.relative_to(PACKAGE).parts
        if path.is_file() and "__pycache__" not in parts and parts[0] in FOR_WORKERS:
            members[path.relative_to(SOURCES).as_posix()] = path.read_bytes()
    beside = weights.parent
    return members | _terms(weights) | _atlas(weights, members[WEIGHTS]) | _samples(beside)


def model_config(options: WorkerOptions) -> str:
    """The archive's model-config.yaml: the project's template with these options in it."""
    config: dict[str, Any] = yaml.safe_load(_read(CONFIG_TEMPLATE, "the configuration template"))
    config |= {
        "minWorkers": options.workers,
        "maxWorkers": options.workers,
        "batchSize": options.batch_size,
        "maxBatchDelay": options.max_batch_delay_ms,
    }
    if options.device in TORCHSERVE_DEVICES:
        config["deviceType"] = TORCHSERVE_DEVICES[options.device]
    config["explainer"] |= {
        "device": options.device.value,
        "max_response_bytes": options.max_response_bytes,
        "allowed_origin": options.allowed_origin,
    }
    return yaml.safe_dump(config, sort_keys=False)


def pack(members: dict[str, bytes], out: Path, model: str = MODEL) -> None:
    """Write an archive of these files with torch-model-archiver; `out` appears whole or not at all."""
    with naming(out), _folder_beside(out) as folder:
        staged, made = Path(folder, "staged"), Path(folder, "made")
        made.mkdir()
        for name, content in members.items():
            path = staged / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        command = [
            sys.executable, "-m", "model_archiver.model_packaging",
            "--model-name", model,
            "--version", package_version(),
            "--handler", str(staged / HANDLER),
            "--config-file", str(staged / MODEL_CONFIG),
            "--extra-files", str(staged),
            "--archive-format", "zip-store",  # half-precision weights do not compress
            "--export-path", str(made),
        ]  # fmt: skip
        done = subprocess.run(command, env=os.environ | {"TMPDIR": folder}, capture_output=True, text=True)  # noqa: S603
        if done.returncode != 0:
            reason = (done.stderr.strip() or f"exit code {done.returncode}").splitlines()[-1]
            raise ServingError(f"torch-model-archiver could not build {out}: {reason}")
        (made / f"{model}.mar").replace(out)


def _folder_beside(out: Path) -> tempfile.TemporaryDirectory[str]:
    """A folder to pack in: the archiver deletes $TMPDIR/<model name>, whatever that is.

    It lies beside `out`, so that moving the finished archive into place is one atomic rename.
    """
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        return tempfile.TemporaryDirectory(prefix=".packing-", dir=out.parent)
    except OSError as error:
        raise ServingError(f"the folder of {out} cannot be written ({error.strerror}): name another") from error


def package_version() -> str:
    """The project's version, which is also the archive's."""
    try:
        return version("zfnet-explainer")
    except PackageNotFoundError:  # a checkout on the path, which nobody has installed
        return str(tomllib.loads((SHIPPED / "pyproject.toml").read_text())["project"]["version"])


def _terms(weights: Path) -> dict[str, bytes]:
    """The card of the shipped weights and the texts of its licences; nothing for other weights."""
    shipped = SHIPPED / "model_store" / WEIGHTS
    if not shipped.exists() or not weights.samefile(shipped):
        return {}
    texts = {f"{LICENCES}/{path.name}": path.read_bytes() for path in sorted((SHIPPED / LICENCES).iterdir())}
    return {CARD: shipped.with_name(CARD).read_bytes(), **texts}


def _atlas(weights: Path, content: bytes) -> dict[str, bytes]:
    """The files of the weights' atlas that a worker needs; none where there is no atlas."""
    try:
        atlas = load_atlas(atlas_folder(weights), hashlib.sha256(content).hexdigest())
    except BadAtlas as error:
        raise ServingError(str(error)) from error
    folder = atlas_folder(Path(WEIGHTS))
    return {f"{folder}/{name}": sheet for name, sheet in atlas.files.items()} if atlas else {}


def _samples(folder: Path) -> dict[str, bytes]:
    """The pictures that the page offers, and their index; none where none lie beside the weights."""
    try:
        found = samples.load_samples(folder)
    except samples.BadSamples as error:
        raise ServingError(str(error)) from error
    return {samples.INDEX: (folder / samples.INDEX).read_bytes(), **{s.file: s.jpeg for s in found}} if found else {}


def _check_pair(weights: bytes, record: bytes, path: Path) -> None:
    """Raise ServingError where a worker would refuse these weights, or no path of a request could have their name."""
    described = path.with_suffix(".json")
    try:
        found = json.loads(record)
        name, digest = found["name"], found["weights_sha256"]
    except (ValueError, KeyError, TypeError) as error:
        raise ServingError(f"{described} is not a checkpoint's record: {error!r}") from error
    try:
        check_name(name)
    except ValueError as error:
        raise ServingError(f"the net's `name` in {described}: {error}") from error
    if hashlib.sha256(weights).hexdigest() != digest:
        raise ServingError(f"{path} is not the file that {described} describes (another sha256): fetch both again")


def _holds(out: Path, members: dict[str, bytes]) -> bool:
    """Whether an archive has exactly these files, this version, was written to its end and is not damaged since."""
    if not zipfile.is_zipfile(out):
        return False
    try:
        with zipfile.ZipFile(out) as archive:
            found = {i.filename: i.CRC for i in archive.infolist()}
            if found.pop(MANIFEST, None) is None or archive.testzip() is not None:
                return False
            packed: str = json.loads(archive.read(MANIFEST))["model"]["modelVersion"]
    except zipfile.BadZipFile:
        return False
    return packed == package_version() and found == {n: zlib.crc32(c) for n, c in members.items()}


def _read(path: Path, what: str, advice: str = "") -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ServingError(f"cannot read {what} {path}: {error.strerror}{advice}") from error
