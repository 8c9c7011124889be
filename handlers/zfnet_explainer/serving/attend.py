"""From the moment a server is ready until it has answered its last request."""

import time
from collections.abc import Callable

import httpx

from .activity import activity
from .errors import ServingError
from .management import NotHealthy
from .server import RunningServer
from .signals import first_sigterm

POLL_S = 0.25


def attend(server: RunningServer, settle_seconds: float, drain_seconds: float, report: Callable[[str], None]) -> None:
    """Return when SIGTERM has come, and then for `settle_seconds` nobody has asked and nothing was left to answer.

    From SIGTERM on `zfnet-health ready` says no, so that load balancers send nothing more; what still comes is
    answered. Ctrl-C, and a second SIGTERM, are a KeyboardInterrupt and wait for nothing. Raises ServingError where
    the server ends by itself, or requests are without an answer `drain_seconds` after SIGTERM.
    """
    leaving = server.folder.leaving
    with first_sigterm(leaving.touch):
        while not leaving.exists():
            server.check_alive()
            time.sleep(POLL_S)
        report("not ready any more, waiting for the last requests")
        _drain(server, settle_seconds, drain_seconds)


def _drain(server: RunningServer, settle_seconds: float, drain_seconds: float) -> None:
    asked = unanswered = 0
    quiet_since = began = time.monotonic()
    while (now := time.monotonic()) < began + drain_seconds:
        server.check_alive()
        try:
            seen = activity(server)
        except (NotHealthy, httpx.HTTPError):  # it has just ended, or is too busy to tell
            quiet_since = now
        else:
            if seen.unanswered or seen.asked != asked:
                quiet_since = now
            elif now - quiet_since >= settle_seconds:
                return
            asked, unanswered = seen.asked, seen.unanswered
        time.sleep(POLL_S)
    if unanswered:
        raise ServingError(f"{unanswered} requests were not answered within {drain_seconds:g} s of SIGTERM")
