"""From the moment a server is ready until it has answered its last request."""

import time
from collections.abc import Callable

import httpx

from . import diagnosis
from .activity import Activity, activity
from .errors import ServingError
from .health import check_alive
from .management import NotHealthy
from .server import RunningServer
from .signals import first_sigterm

POLL_S = 0.25
ASK_S = 5.0
# A worker that died is there again within seconds; one that cannot start is tried for ever, and requests wait. They
# do so too where TorchServe, out of memory, has lost what it was about to hand to a worker.
UNWELL_S = 120.0


def drain(server: RunningServer, settle_seconds: float, drain_seconds: float, report: Callable[[str], None]) -> None:
    """Return when SIGTERM has come, and then for `settle_seconds` nobody has asked and nothing was left to answer.

    From SIGTERM on `zfnet-health ready` says no, so that load balancers send nothing more; what still comes is
    answered. Ctrl-C, and a second SIGTERM, are a KeyboardInterrupt and wait for nothing. Raises ServingError where
    the server ends by itself, or for two minutes, before SIGTERM or after, has had no worker or given it nothing of
    what waits, so that whoever started it starts another; or `drain_seconds` after SIGTERM requests are without an
    answer, or it does not tell. `report` is given lines, also where some of several workers are missing for two
    minutes.
    """
    leaving = server.folder.leaving
    watch = _Watch(server, report)
    with first_sigterm(leaving.touch):
        while not leaving.exists():
            server.check_alive()
            watch()
            time.sleep(POLL_S)
        report("not ready any more, waiting for the last requests")
        _drain(server, settle_seconds, drain_seconds, watch)


class _Watch:
    """Asks TorchServe now and then whether its workers have the model loaded, and get what waits."""

    def __init__(self, server: RunningServer, report: Callable[[str], None]) -> None:
        self.server, self.report = server, report
        self.asked = self.well = self.complete = time.monotonic()
        self.told = False
        self.seen = Activity(0, 0, 0, 0)

    def __call__(self) -> None:
        """Raise ServingError where not one has for too long; tell where some have not, and when all have again."""
        now = time.monotonic()
        if now < self.asked + ASK_S:
            return
        self.asked = now
        try:
            missing = self._missing()
        except (NotHealthy, httpx.HTTPError) as error:
            if now > self.well + UNWELL_S:
                raise ServingError(self._for_long(str(error))) from error
        else:
            self.well = now
            self._tell(missing, now)

    def _missing(self) -> int:
        missing = check_alive(self.server.folder)
        before, self.seen = self.seen, activity(self.server)
        if self.seen.stalled_since(before):
            raise NotHealthy(f"{self.seen.waiting} requests wait and no worker is given one")
        return missing

    def _tell(self, missing: int, now: float) -> None:
        """Say once that workers are missing, when they have been for long, and that they are there again."""
        if not missing:
            self.complete = now
            if self.told:
                self.report("all workers are READY again")
            self.told = False
        elif now > self.complete + UNWELL_S and not self.told:
            self.report(self._for_long(f"{missing} of the workers were not READY"))
            self.told = True

    def _for_long(self, what: str) -> str:
        logs = self.server.folder.logs
        cause = f": {diagnosis.worker_cause(logs)}" if diagnosis.worker_died(logs) else ""
        return f"for {UNWELL_S:.0f} s {what}{cause} (logs: {logs})"


def _drain(server: RunningServer, settle_seconds: float, drain_seconds: float, watch: Callable[[], None]) -> None:
    asked = 0
    quiet_since = began = time.monotonic()
    while True:
        server.check_alive()
        watch()
        now, seen = time.monotonic(), _told(server)
        if seen is None or seen.unanswered or seen.asked != asked:
            quiet_since = now
        elif now - quiet_since >= settle_seconds:
            return
        if now >= began + drain_seconds:
            break
        asked = seen.asked if seen else asked
        time.sleep(POLL_S)
    if seen is None:
        raise ServingError(
            f"TorchServe does not tell {drain_seconds:g} s after SIGTERM whether every request was answered "
            f"(logs: {server.folder.logs})"
        )
    if seen.unanswered:
        raise ServingError(f"{seen.unanswered} requests were not answered within {drain_seconds:g} s of SIGTERM")


def _told(server: RunningServer) -> Activity | None:
    """What the server is busy with; None where it has just ended, or is too busy to tell."""
    try:
        return activity(server)
    except (NotHealthy, httpx.HTTPError):
        return None
