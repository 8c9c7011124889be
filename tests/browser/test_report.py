"""The report in Chromium: on a phone and on paper."""

import pytest
from playwright.sync_api import Page

from tests.samples import encoded, noise
from tests.served import sent, service


@pytest.fixture
def phone(tab: Page) -> Page:
    """A report of all layers on a phone of 360 pixels."""
    options = {"format": "html", "layer": "1,2,3,4,5", "features": "9", "window": "56", "stride": "56"}
    [answer] = service().answer([sent({"data": encoded(noise()), **options}, explain=True)], ["request-17"])
    tab.set_viewport_size({"width": 360, "height": 740})
    tab.set_content(answer.body.decode())
    return tab


def test_on_a_phone_it_is_short_with_nothing_cut_off_and_on_paper_nothing_is_folded(phone: Page) -> None:
    assert phone.evaluate("document.documentElement.scrollWidth") == 360
    assert phone.evaluate("document.documentElement.scrollHeight") < 4 * 740
    rights = phone.locator("table").first.locator("th").evaluate_all(
        "all => all.map(e => e.getBoundingClientRect().right)"
    )  # fmt: skip
    assert max(rights) <= 360
    widths = phone.locator("tbody th + td").evaluate_all(
        "all => all.filter(e => e.checkVisibility()).map(e => e.offsetWidth)"
    )
    assert widths
    assert min(widths) > 300, "a value has the whole width"
    maps = phone.locator("td", has_text="rows 0 to").first
    visible = "e => e.getBoundingClientRect().height > 0 && e.checkVisibility({contentVisibilityAuto: true})"
    assert not maps.evaluate(visible)
    phone.emulate_media(media="print")
    assert maps.evaluate(visible)
