"""What the page looks like: colours, borders, widths, what lies over what."""

import itertools
import re
from dataclasses import replace
from typing import Literal

import numpy as np
import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.door import opened, serving
from tests.browser.steps import explain, explained, set_options, settle
from zfnet_explainer.net.checkpoint import Checkpoint
from zfnet_explainer.net.record import ClassName
from zfnet_explainer.pictures.display import CIVIDIS, VIRIDIS
from zfnet_explainer.pictures.fill import fill_pixels
from zfnet_explainer.service.service import Service

SQUARE_AT = """([top, left]) => {
  const canvas = document.getElementById("map-square");
  const at = (pixel) => Math.floor(pixel / 224 * canvas.width);
  return [...canvas.getContext("2d").getImageData(at(left), at(top), 1, 1).data].slice(0, 3);
}"""
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")


# The elements whose own text is wider than they are, but for those that scroll or are for screen readers alone.
STICKING_OUT = """[...document.querySelectorAll("main *")]
  .filter((e) => [...e.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim()))
  .filter((e) => e.clientWidth && e.scrollWidth > e.clientWidth + 1)
  .filter((e) => getComputedStyle(e).overflowX === "visible" && !e.closest(".unseen"))
  .map((e) => e.id || e.className || e.tagName)"""


def drawn(page: Page, canvas: str) -> str:
    settle(page)
    return str(page.evaluate("id => document.getElementById(id).toDataURL()", canvas))


def test_a_maps_colours_are_those_of_its_scale_and_fade_to_the_picture(page: Page) -> None:
    found = explained(page)["occlusion"]
    settle(page)
    highest = {
        "map-activity": max(found["feature"]["unoccluded"], *map(max, found["feature_activity"])),
        "map-probability": max(found["unoccluded"], *map(max, found["target_probability"])),
    }
    scales = ("map-activity", "feature_activity", VIRIDIS), ("map-probability", "target_probability", CIVIDIS)
    cells = list(itertools.product(range(4), repeat=2))
    # A quarter into each cell, clear of the square's outline and of the worst position's cross.
    places = [[56 * col + 14, 56 * row + 14] for row, col in cells]
    for canvas, name, colours in scales:
        shown = page.evaluate(
            "([id, places]) => { const c = document.getElementById(id), at = (p) => Math.floor(p / 224 * c.width);"
            " const drawn = c.getContext('2d');"
            " return places.map(([x, y]) => [...drawn.getImageData(at(x), at(y), 1, 1).data]) }",
            [canvas, places],
        )
        values = [found[name][row][col] / highest[canvas] for row, col in cells]
        assert shown == [[*colours[int(255 * value + 0.5)].tolist(), 255] for value in values], canvas
    expect(page.locator("#opacity")).to_have_value("100")
    expect(page.locator("#opacity-note")).to_have_text("Only at 100 % do colours match their scales.")
    before = drawn(page, "map-probability")
    page.locator("#opacity").fill("0")
    expect(page.locator("#opacity-share")).to_have_text("0 %")
    faded = drawn(page, "map-probability")
    assert faded != before
    assert faded == drawn(page, "map-class"), "without its colours every map is the picture with the square's outline"


def test_what_has_the_focus_is_not_under_the_picture_that_stays_above(page: Page) -> None:
    page.set_viewport_size({"width": 320, "height": 640})
    set_options(page)
    page.click("#all-layers")
    explain(page, features="9", window="112", stride="112")
    for width in (320, 360):
        page.set_viewport_size({"width": width, "height": 640})
        page.locator(".tile").last.focus()
        for _ in range(page.locator(".tile").count() - 1):
            page.keyboard.press("Shift+Tab")
            assert page.evaluate(
                "document.activeElement.getBoundingClientRect().top"
                " >= document.querySelector('.beside').getBoundingClientRect().bottom"
            )
    page.set_viewport_size({"width": 320, "height": 180})  # a small window, four times enlarged
    page.locator(".tile").last.focus()
    assert page.evaluate("document.querySelector('.beside').getBoundingClientRect().bottom") < 0, "it scrolls away"


def test_borders_of_controls_can_be_seen(page: Page) -> None:
    set_options(page)
    colours = "e => [getComputedStyle(e).borderTopColor, getComputedStyle(e.closest('.card')).backgroundColor]"
    grounds = set()
    for scheme in SCHEMES:
        page.emulate_media(color_scheme=scheme)
        for control in ("[name=target]", "[name=top_k]", "[name=fill]", "#defaults", "#drop"):
            border, ground = (luminance(colour) for colour in page.locator(control).evaluate(colours))
            low, high = sorted((border, ground))
            assert (high + 0.05) / (low + 0.05) >= 3, (scheme, control)
            grounds.add(ground > 0.5)
    assert grounds == {True, False}, "a light scheme and a dark one"


def luminance(colour: str) -> float:
    """Relative luminance of a css colour, as contrast is defined on it (WCAG 2)."""
    shares = [int(part) / 255 for part in re.findall(r"\d+", colour)]
    linear = [share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_the_square_has_the_servers_colour_whatever_it_is_covered_with(page: Page, service: Service) -> None:
    """One whose looks the page does not know is not shown as another."""
    answer = explained(page, window="112", stride="112", features="1")
    worst, mean = answer["occlusion"]["summary"]["worst"], service.explainer.record.preprocessing.mean
    middle = [worst["top"] + 56, worst["left"] + 56]
    fills = page.evaluate("JSON.parse(document.getElementById('settings').textContent).options.fill.choices")
    picture = np.zeros((2, 2, 3), np.uint8)

    def filled(route: Route) -> None:
        route.fulfill(json=answer)

    page.route("**/explanations/zfnet", filled)
    for fill in (*fills, "#12ab34"):
        answer["occlusion"]["fill"] = fill
        with page.expect_response("**/explanations/zfnet"):
            page.click("#explain")
        expect(page.locator("#progress")).to_be_hidden()
        expect(page.locator("#error")).to_be_hidden()
        settle(page)
        if fill != "blur":
            assert page.evaluate(SQUARE_AT, middle) == fill_pixels(fill, picture, 112, mean)[0, 0].tolist(), fill
    answer["occlusion"]["fill"] = "stripes"
    page.click("#explain")
    expect(page.get_by_role("alert")).to_contain_text("The page failed on this answer")


@pytest.mark.parametrize("word", ["", "weld_surface_defect_crack_in_the_heat_affected_zone_"], ids=["own", "long"])
def test_nothing_sticks_out_at_any_width_whatever_classes_are_called(tab: Page, service: Service, word: str) -> None:
    explainer = service.explainer
    classes = tuple(ClassName(name.synset, f"{word}{name.label}") for name in explainer.record.classes)
    with opened(serving(Checkpoint(explainer.chain, replace(explainer.record, classes=classes)))) as door:
        tab.set_viewport_size({"width": 320, "height": 700})
        tab.goto(door.url)
        explain(tab, window="112", stride="112")
        tab.locator(".prediction").nth(1).click()
        for details in tab.locator("details").all():
            details.evaluate("details => { details.open = true }")
        for width, scheme in itertools.product((320, 390, 820, 1280), SCHEMES):
            tab.set_viewport_size({"width": width, "height": 700})
            tab.emulate_media(color_scheme=scheme)
            settle(tab)
            assert tab.evaluate("document.documentElement.scrollWidth") == width
            assert tab.evaluate(STICKING_OUT) == []
            ground = tab.evaluate("getComputedStyle(document.body).backgroundColor")
            assert (ground == "rgb(20, 24, 27)") == (scheme == "dark")
