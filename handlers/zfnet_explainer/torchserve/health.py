"""`zfnet-health`: what a container's probes ask, from beside the server.

Apart from `zfnet-explainer` because a probe runs every few seconds: it imports little and is quick.
"""

import argparse
import sys
from pathlib import Path

from .management import NotHealthy, missing_workers, model_now
from .run_folder import RunFolder


def main() -> None:
    """Exit with 0 where the answer is yes, and with 1 and the reason on stderr where it is no."""
    parser = argparse.ArgumentParser(prog="zfnet-health", description="Ask a server on this machine how it is.")
    parser.add_argument("--run-dir", type=Path, default=Path(".run"), help="the server's --run-dir")
    questions = parser.add_subparsers(dest="question", required=True)
    questions.add_parser("alive", help="is a worker loaded?")
    questions.add_parser("ready", help="is a worker loaded, and does the server want new requests?")
    asked = parser.parse_args()
    folder = RunFolder(asked.run_dir.resolve())
    try:
        check_alive(folder)
        if asked.question == "ready":
            check_staying(folder)
    except (NotHealthy, OSError, ValueError) as error:
        sys.exit(f"not {asked.question}: {error}")


def check_staying(folder: RunFolder) -> None:
    """Raise NotHealthy where the server is about to stop."""
    if folder.leaving.exists():
        raise NotHealthy("the server is about to stop")


def check_alive(folder: RunFolder) -> int:
    """Return how many of the wanted workers have not loaded the model; raises NotHealthy where none has.

    TorchServe's /ping says yes also then.
    """
    model = model_now(folder)
    states = [worker["status"] for worker in model["workers"]]
    if "READY" not in states:
        raise NotHealthy(f"no worker is READY: {', '.join(states) or 'there is none'}")
    return missing_workers(model)
