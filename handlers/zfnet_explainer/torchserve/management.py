"""TorchServe's management API, asked from beside the server; imports little, since probes ask every few seconds."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

from .run_folder import RunFolder

TIMEOUT_S = 4


class NotHealthy(Exception):
    """What is wrong, in words for a probe's log."""


def described(folder: RunFolder) -> dict[str, Any]:
    """What the management API says of the model that this folder's server has. Raises NotHealthy where it does not."""
    config = _properties(folder.config)
    address, model = config["management_address"].removeprefix("http://"), config["load_models"].partition("=")[0]
    status, said = _get(folder, address, f"/models/{model}", "management")
    if status == 400 and folder.key_file.exists():  # the key is over, after an hour: TorchServe writes a new one
        _get(folder, address, "/token?type=management", "API")
        status, said = _get(folder, address, f"/models/{model}", "management")
    if status != 200:
        raise NotHealthy(f"TorchServe does not know the model: {status} {said}")
    with _readable("TorchServe's answer"):
        model_now: dict[str, Any] = json.loads(said)[0]
    return model_now


def _get(folder: RunFolder, address: str, path: str, key: str) -> tuple[int, str]:
    headers = {}
    if folder.key_file.exists():  # it asks for tokens
        with _readable(folder.key_file):  # it may just be written anew
            keys = json.loads(folder.key_file.read_text())
            headers["Authorization"] = f"Bearer {keys[key]['key']}"
    connection = HTTPConnection(address, timeout=TIMEOUT_S)
    try:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode(errors="replace")
    except (OSError, HTTPException) as error:
        raise NotHealthy(f"TorchServe does not answer: {error}") from error
    finally:
        connection.close()


@contextmanager
def _readable(what: object) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise NotHealthy(f"{what} cannot be read: {error}") from error


def _properties(path: Path) -> dict[str, str]:
    try:
        lines = path.read_text().splitlines()
    except FileNotFoundError as error:
        raise NotHealthy(f"no server was started in {path.parent}") from error
    return dict(line.split("=", 1) for line in lines)
