"""The one tab and the service that all these tests share."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Error, Page, Request, expect

from zfnet_explainer.net.checkpoint import load
from zfnet_explainer.pictures.samples import load_samples
from zfnet_explainer.service.service import Service

from ..chromium import running_chromium
from ..samples import MODEL_STORE
from ..waiting import PATIENCE_S
from .door import Door, opened, serving


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    with running_chromium() as chromium:
        yield chromium


@pytest.fixture(scope="package")
def only_tab(browser: Browser) -> Page:
    """A tab that has shown an explanation shows the next in half the time that a new one takes."""
    tab = browser.new_page()
    tab.set_default_timeout(1000 * PATIENCE_S)
    expect.set_options(timeout=1000 * PATIENCE_S)
    return tab


@pytest.fixture
def tab(only_tab: Page) -> Iterator[Page]:
    """The tab, empty, as wide as a desk's and light, the pointer in its corner."""
    only_tab.set_viewport_size({"width": 1280, "height": 720})
    only_tab.emulate_media(media="null", color_scheme="light")
    only_tab.mouse.move(0, 0)
    yield only_tab
    only_tab.unroute_all(behavior="wait")
    only_tab.goto("about:blank")


@pytest.fixture(scope="package")
def service() -> Service:
    """The trained net with its samples."""
    return serving(load(MODEL_STORE / "zfnet.safetensors"), samples=load_samples(MODEL_STORE))


@pytest.fixture
def door(service: Service) -> Iterator[Door]:
    with opened(service) as door:
        yield door


@pytest.fixture
def page(tab: Page, door: Door) -> Iterator[Page]:
    """The page, open; in the end it must have talked to its own server only and thrown nothing."""
    requested: list[str] = []
    failures: list[str] = []

    def note_request(request: Request) -> None:
        requested.append(request.url)

    def note_error(error: Error) -> None:
        failures.append(str(error))

    def note_refusal(said: ConsoleMessage) -> None:
        if "Content Security Policy" in said.text:
            failures.append(said.text)

    tab.on("request", note_request)
    tab.on("pageerror", note_error)
    tab.on("console", note_refusal)
    tab.goto(door.url)
    yield tab
    tab.remove_listener("request", note_request)
    tab.remove_listener("pageerror", note_error)
    tab.remove_listener("console", note_refusal)
    origin = door.url.partition("/explanations")[0]
    assert [url for url in requested if not url.startswith((f"{origin}/", "data:", "blob:"))] == []
    assert failures == []
