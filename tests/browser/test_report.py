"""The report in Chromium: on a phone and on paper."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.pictures import encoded, noise
from tests.served import sent, service

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


@pytest.fixture(scope="module")
def written() -> str:
    """A report of all layers."""
    options = {"format": "html", "layer": "1,2,3,4,5", "features": "9", "window": "56", "stride": "56"}
    [answer] = service().answer([sent({"data": encoded(noise()), **options}, explain=True)], ["request-17"])
    return answer.body.decode()


@pytest.fixture
def phone(browser: "Browser", written: str) -> "Iterator[Page]":
    """The report on a phone of 360 pixels."""
    tab = browser.new_page(viewport={"width": 360, "height": 740})
    tab.set_content(written)
    yield tab
    tab.close()


def test_on_a_phone_it_is_short_and_nothing_is_cut_off(phone: "Page") -> None:
    assert phone.evaluate("document.documentElement.scrollWidth") == 360
    assert phone.evaluate("document.documentElement.scrollHeight") < 4 * 740
    rights = phone.locator("table").first.locator("th").evaluate_all(
        "all => all.map(e => e.getBoundingClientRect().right)"
    )  # fmt: skip
    assert max(rights) <= 360


def test_on_a_phone_a_value_has_the_whole_width(phone: "Page") -> None:
    widths = phone.locator("tbody th + td").evaluate_all(
        "all => all.filter(e => e.checkVisibility()).map(e => e.offsetWidth)"
    )
    assert widths
    assert min(widths) > 300


def test_on_paper_nothing_is_folded(phone: "Page") -> None:
    maps = phone.locator("td", has_text="rows 0 to").first
    visible = "e => e.getBoundingClientRect().height > 0 && e.checkVisibility({contentVisibilityAuto: true})"
    assert not maps.evaluate(visible)
    phone.emulate_media(media="print")
    assert maps.evaluate(visible)
