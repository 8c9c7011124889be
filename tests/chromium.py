"""A real Chromium."""

from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, sync_playwright

from .needs import program


@contextmanager
def running_chromium() -> Iterator[Browser]:
    """The browser; while it runs, nothing else in this thread can use asyncio."""
    path = program("chromium")
    with sync_playwright() as running:
        chromium = running.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield chromium
        chromium.close()
