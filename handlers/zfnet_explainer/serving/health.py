"""`zfnet-health`: what a container's probes ask, from beside the server.

Apart from `zfnet-explainer` because a probe runs every few seconds: it imports little and is quick.
"""

import argparse
import json
import sys
import time
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from .run_folder import RunFolder

TIMEOUT_S = 4


class NotHealthy(Exception):
    """What is wrong, in words for a probe's log."""


def main() -> None:
    """Exit with 0 where the answer is yes, and with 1 and the reason on stderr where it is no."""
    parser = argparse.ArgumentParser(prog="zfnet-health", description="Ask a server on this machine how it is.")
    parser.add_argument("--run-dir", type=Path, default=Path(".run"), help="the server's --run-dir")
    questions = parser.add_subparsers(dest="question", required=True)
    questions.add_parser("alive", help="is a worker loaded?")
    questions.add_parser("ready", help="is a worker loaded, and does the server want new requests?")
    leave = questions.add_parser("leave", help="be not ready from now on, and wait for that to be noticed")
    leave.add_argument("--seconds", type=float, default=0, help="how long")
    asked = parser.parse_args()
    folder = RunFolder(asked.run_dir.resolve())
    try:
        if asked.question == "leave":
            folder.leaving.touch()
            time.sleep(asked.seconds)
            return
        check_alive(folder)
        if asked.question == "ready":
            check_staying(folder)
    except (NotHealthy, OSError, ValueError) as error:
        sys.exit(f"not {asked.question}: {error}")


def check_staying(folder: RunFolder) -> None:
    """Raise NotHealthy where the server is about to stop."""
    if folder.leaving.exists():
        raise NotHealthy("the server is about to stop")


def check_alive(folder: RunFolder) -> None:
    """Raise NotHealthy where no worker has the model loaded; TorchServe's /ping says yes also then."""
    config = _properties(folder.config)
    model = config["load_models"].partition("=")[0]
    headers = {}
    if folder.key_file.exists():  # it asks for tokens
        keys = json.loads(folder.key_file.read_text())
        headers["Authorization"] = f"Bearer {keys['management']['key']}"
    connection = HTTPConnection(config["management_address"].removeprefix("http://"), timeout=TIMEOUT_S)
    try:
        connection.request("GET", f"/models/{model}", headers=headers)
        answer = connection.getresponse()
        said = answer.read()
    except (OSError, HTTPException) as error:
        raise NotHealthy(f"TorchServe does not answer: {error}") from error
    finally:
        connection.close()
    if answer.status != 200:
        raise NotHealthy(f"TorchServe does not know the model: {answer.status} {said.decode(errors='replace')}")
    states = [worker["status"] for worker in json.loads(said)[0]["workers"]]
    if "READY" not in states:
        raise NotHealthy(f"no worker is READY: {', '.join(states) or 'there is none'}")


def _properties(path: Path) -> dict[str, str]:
    try:
        lines = path.read_text().splitlines()
    except FileNotFoundError as error:
        raise NotHealthy(f"no server was started in {path.parent}") from error
    return dict(line.split("=", 1) for line in lines)
