"""TorchServe's management API, asked from beside the server; imports little, since probes ask every few seconds."""

import json
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

from .run_folder import RunFolder

TIMEOUT_S = 4


class NotHealthy(Exception):
    """What is wrong, in words for a probe's log."""


class Unanswered(NotHealthy):
    """Nothing answers, or the keys are not whole: where a server was just started, a moment later they may be."""


def model_now(folder: RunFolder) -> dict[str, Any]:
    """What the management API says of the model that this folder's server has. Raises NotHealthy where it does not."""
    config = _properties(folder.config)
    address, model = config["management_address"].removeprefix("http://"), config["load_models"].partition("=")[0]
    keys = None if config["disable_token_authorization"] == "true" else folder.key_file  # noqa: S105
    status, said = _get(address, f"/models/{model}", keys, "management")
    if status == 400 and keys:  # the key is over, after an hour: TorchServe writes a new one
        _get(address, "/token?type=management", keys, "API")
        status, said = _get(address, f"/models/{model}", keys, "management")
    if status != 200:
        raise NotHealthy(f"TorchServe does not know the model: {status} {said}")
    try:
        found: dict[str, Any] = json.loads(said)[0]
    except (ValueError, LookupError, TypeError) as error:
        raise NotHealthy(f"TorchServe's answer cannot be read: {error}") from error
    return found


def missing_workers(model: dict[str, Any]) -> int:
    """How many of the workers that it wants have not loaded the model."""
    ready = [worker for worker in model["workers"] if worker["status"] == "READY"]
    wanted: int = model["minWorkers"]
    return max(0, wanted - len(ready))


def _get(address: str, path: str, keys: Path | None, key: str) -> tuple[int, str]:
    """Status and body of an answer, asked for with that key of the file where there is one."""
    headers = {"Authorization": f"Bearer {_key(keys, key)}"} if keys else {}
    connection = HTTPConnection(address, timeout=TIMEOUT_S)
    try:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode(errors="replace")
    except (OSError, HTTPException) as error:
        raise Unanswered(f"TorchServe does not answer: {error}") from error
    finally:
        connection.close()


def _key(keys: Path, name: str) -> str:
    try:
        key: str = json.loads(keys.read_text())[name]["key"]
    except FileNotFoundError as error:
        raise Unanswered(f"TorchServe does not answer: {keys} is there while it runs, and is not there") from error
    except (OSError, ValueError, LookupError, TypeError) as error:  # it may just be written anew
        raise Unanswered(f"{keys} cannot be read: {error}") from error
    return key


def _properties(path: Path) -> dict[str, str]:
    try:
        lines = path.read_text().splitlines()
    except FileNotFoundError as error:
        raise NotHealthy(f"no server was started in {path.parent}") from error
    return dict(line.split("=", 1) for line in lines)
