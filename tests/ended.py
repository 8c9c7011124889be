"""A run that is told to end (a time limit, a cancelled job, `docker stop`) ends as after Ctrl-C.

Otherwise Python is gone at once, and servers that fixtures have started run on for good.
"""

import signal


def pytest_configure() -> None:
    """In every process of the run: SIGTERM may come to one of them or to all."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
