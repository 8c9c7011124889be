"""Runs the stages one after the other, each in a process of its own and within its time, and keeps what each found.

    python -m tools.gpu --out results/gpu                       # from the repository's root, on a machine with a GPU
    python -m tools.gpu --out /tmp/rehearsed --device cpu --tiny

It installs nothing and needs Python alone; the stages need what the project does. A stage that fails, or takes too
long, costs no other stage's figures, nor its own up to then: OUT/STAGE.json has them and, as `error`, what happened.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).parents[2]
# Seconds that each stage may take on a card, under eight minutes in all; what one leaves over, the next may take.
BUDGETS = {"tests": 90, "served": 60, "occlusion": 90, "rivals": 40, "vgg16": 60, "load": 85, "training": 45}
STOPPING_S = 30  # that a stage has to stop its server and to end, once it is told
TAIL = 2000  # characters of a log that say what failed
MARK = "ZFNET_GPU_STAGE"  # in the environment of a stage, and so of all that it starts


def main(arguments: Sequence[str]) -> int:
    """Run what is asked; the exit status, 1 where a stage failed."""
    parser = argparse.ArgumentParser("python -m tools.gpu", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for STAGE.json and STAGE.log")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--tiny", action="store_true", help="little work: to rehearse it, where figures mean nothing")
    parser.add_argument("--only", default=",".join(BUDGETS), help="some of the stages, separated by commas")
    parser.add_argument("--patience", type=float, default=1, help="times the stages' time, for a slower machine")
    asked = parser.parse_args(arguments)
    stages = asked.only.split(",")
    if unknown := set(stages) - set(BUDGETS):
        parser.error(f"--only {', '.join(sorted(unknown))}: the stages are {', '.join(BUDGETS)}")
    asked.out.mkdir(parents=True, exist_ok=True)
    handed = ["--device", asked.device, *(["--tiny"] if asked.tiny else [])]
    failed, seconds = [], 0.0
    for stage in stages:
        file = (asked.out / f"{stage}.json").resolve()
        command = [sys.executable, "-m", "tools.gpu.stages", stage, "--into", str(file), *handed]
        start = time.monotonic()
        seconds += asked.patience * BUDGETS[stage]
        error = run(command, file, seconds)
        taken = time.monotonic() - start
        seconds = max(0.0, seconds - taken)
        print(f"{stage}: {'failed' if error else 'done'} after {taken:.0f} s", flush=True)
        if error:
            print(error, flush=True)
            failed.append(stage)
    print(f"figures: {asked.out}; failed: {', '.join(failed) or 'none'}")
    return 1 if failed else 0


def run(command: Sequence[str], file: Path, seconds: float) -> str | None:
    """Run one stage; what went wrong, which then stands in its file beside the figures that it had."""
    file.unlink(missing_ok=True)
    log = file.with_suffix(".log")
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603
            command, cwd=ROOT, env=_environment() | {MARK: str(file)}, stdout=output, stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip
        try:
            process.wait(seconds)
            error = f"ended with exit status {process.returncode}" if process.returncode else None
        except subprocess.TimeoutExpired:
            error = f"took longer than its {seconds:.0f} s"
        finally:
            _end(process)
            _kill_marked(f"{MARK}={file}")
    if error:
        error = f"{error}\n{log.read_text(errors='replace')[-TAIL:]}"
        found = json.loads(file.read_text()) if file.exists() else {}
        file.write_text(json.dumps(found | {"error": error}, indent=1) + "\n")
    return error


def _end(process: subprocess.Popen[bytes]) -> None:
    """As Ctrl-C does, so that a server that it started is stopped; then for good."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGINT)
        try:
            process.wait(STOPPING_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _kill_marked(mark: str) -> None:
    """End what has outlived its stage: a server, which has a session of its own, would go on holding the card."""
    for file in Path("/proc").glob("[0-9]*/environ"):
        with suppress(FileNotFoundError, ProcessLookupError, PermissionError):  # gone meanwhile, or another user's
            if os.fsencode(mark) in file.read_bytes().split(b"\0"):
                os.kill(int(file.parent.name), signal.SIGKILL)


def _environment() -> dict[str, str]:
    """This one, with the project's modules where they are, installed or not."""
    paths = [str(ROOT), str(ROOT / "handlers"), os.environ.get("PYTHONPATH", "")]
    return os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
