"""`zfnet-explainer serve` and `zfnet-health` as processes, and clients of a server that is about to end."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx

from zfnet_explainer.torchserve.archive import MODEL
from zfnet_explainer.torchserve.config import ServerOptions
from zfnet_explainer.torchserve.run_folder import RunFolder

from ..waiting import PATIENCE_S, wait_for
from .archives import waiting_archive

SETTLE_S = 1
SERVE = "import typer; from zfnet_explainer.commands.serve import serve; typer.run(serve)"
HEALTH = "from zfnet_explainer.torchserve.health import main; main()"


@dataclass
class Serving:
    """`zfnet-explainer serve` of the handler whose explanations wait, and threads that ask it."""

    process: subprocess.Popen[str]
    output: str
    options: ServerOptions
    folder: RunFolder
    threads: ThreadPoolExecutor
    go: Path

    def key(self, api: str = "inference") -> dict[str, str]:
        """The header with the key of an API, as its file has it now; none where no key is asked for."""
        if not self.options.token:
            return {}
        keys = json.loads(self.folder.key_file.read_text())
        return {"Authorization": f"Bearer {keys[api]['key']}"}

    def predicted(self, headers: dict[str, str]) -> int:
        """The status of a prediction that is asked for with these headers."""
        url = f"{self.options.inference_url}/predictions/{self.options.model}"
        return httpx.post(url, content=b"x", headers=headers, timeout=PATIENCE_S, trust_env=False).status_code

    def asked(self, call: str, body: str) -> Future[httpx.Response]:
        """The answer to come, `predict` or `explain`; a prediction's is its body."""
        url = f"{self.options.inference_url}/v1/models/{self.options.model}:{call}"
        return self.threads.submit(
            httpx.post, url, content=body, headers=self.key(), timeout=PATIENCE_S, trust_env=False
        )

    def explaining(self) -> Future[httpx.Response]:
        """An explanation that the worker has begun; it is answered once `go` is there."""
        answer = self.asked("explain", str(self.go))
        begun = self.go.with_name(f"{self.go.name}.started")
        wait_for(lambda: begun.exists() or answer.done(), "no worker has begun the explanation")
        return answer

    def waiting(self) -> int:
        """How many requests TorchServe has in its queue."""
        url = f"{self.options.management_url}/models/{self.options.model}"
        described = httpx.get(url, headers=self.key("management"), timeout=PATIENCE_S, trust_env=False)
        found: int = described.json()[0]["jobQueueStatus"]["pendingRequests"]
        return found

    def looks(self) -> int:
        """How often anybody has asked TorchServe how the model is."""
        return (self.folder.logs / "access_log.log").read_text().count(f'"GET /models/{self.options.model} ')

    def java(self) -> int:
        """The process id of TorchServe, which leads its workers' group."""
        [found] = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return int(found)

    def ended(self) -> tuple[int, str, str]:
        """Exit code, the rest of the output, errors."""
        rest, errors = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode, rest, errors


@contextmanager
def serving(folder: Path, options: ServerOptions, *arguments: str, config: str = "") -> Iterator[Serving]:
    """A server whose archive is configured like this, ended after the test at the latest, with all its processes."""
    archive = waiting_archive(folder / "waiting.mar", config)
    line = serve(folder, options, "--archive", archive, "--settle-seconds", str(SETTLE_S), *arguments)
    with ThreadPoolExecutor(8) as threads, started(line, until="Ctrl-C") as (process, output):
        one = Serving(process, output, options, RunFolder(folder / "run"), threads, folder / "go")
        try:
            yield one
        finally:
            one.go.touch()
    assert processes_of(folder) == []


def serve(folder: Path, options: ServerOptions, *arguments: str | Path) -> list[str]:
    """The command line of a server with these options, its run folder in `folder`."""
    return [sys.executable, "-c", SERVE, *serve_arguments(folder, options), *map(str, arguments)]


def serve_arguments(folder: Path, options: ServerOptions) -> list[str]:
    ports = {
        "--port": options.port,
        "--management-port": options.management_port,
        "--metrics-port": options.metrics_port,
    }
    given = [text for option, port in ports.items() for text in (option, str(port))]
    given += ["--device", "cpu", "--run-dir", str(folder / "run")] + ["--token"] * options.token
    if options.model != MODEL:  # as KServe appends it to an explainer's arguments
        given += ["--model_name", options.model, "--predictor_host", "p.default", "--http_port", str(options.port)]
    return given


@contextmanager
def started(line: list[str], until: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The running command and its output up to and with the line that contains `until`."""
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        output = ""
        try:
            for text in process.stdout:
                output += text
                if until in text:
                    break
            assert until in output, process.communicate()[1]
            yield process, output
        finally:
            process.terminate()


def processes_of(folder: Path) -> list[str]:
    """Command lines of the processes that were given a path in the folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # it has ended meanwhile
            found.append(os.fsdecode(path.read_bytes()).replace("\0", " "))
    return [line for line in found if str(folder) in line]


def ask(run_dir: Path, *question: str) -> tuple[int, str]:
    """Exit code and stderr of a probe."""
    command = [sys.executable, "-c", HEALTH, "--run-dir", str(run_dir), *question]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S)
    assert done.stdout == ""
    return done.returncode, done.stderr
