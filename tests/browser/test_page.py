"""The page in Chromium, against the real service: what a person sees, presses and is told."""

import itertools
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from playwright.sync_api import FilePayload, Page, Route, expect

from tests.browser.door import NO_KEY, NO_TOKEN, Door, opened, serving
from tests.browser.steps import WIDE, class_of, explain, explained, set_options, settle
from tests.pictures.atlases import SOURCES, write_atlas
from tests.waiting import wait_for
from zfnet_explainer.net.checkpoint import Checkpoint
from zfnet_explainer.net.record import ClassName
from zfnet_explainer.pictures.atlas import load_atlas
from zfnet_explainer.pictures.display import CIVIDIS, VIRIDIS
from zfnet_explainer.pictures.fill import fill_pixels
from zfnet_explainer.service.service import Service
from zfnet_explainer.wire.options import explain_options
from zfnet_explainer.wire.page.page import page as page_file

SQUARE_AT = """([top, left]) => {
  const canvas = document.getElementById("map-square");
  const at = (pixel) => Math.floor(pixel / 224 * canvas.width);
  return [...canvas.getContext("2d").getImageData(at(left), at(top), 1, 1).data].slice(0, 3);
}"""
NO_PICTURE: FilePayload = {"name": "letter.txt", "mimeType": "text/plain", "buffer": b"Dear Sir or Madam"}
HOSTILE = "<img src=x onerror='document.title=`run`'>"
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
# The elements whose own text is wider than they are, but for those that scroll or are for screen readers alone.
STICKING_OUT = """[...document.querySelectorAll("main *")]
  .filter((e) => [...e.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim()))
  .filter((e) => e.clientWidth && e.scrollWidth > e.clientWidth + 1)
  .filter((e) => getComputedStyle(e).overflowX === "visible" && !e.closest(".unseen"))
  .map((e) => e.id || e.className || e.tagName)"""
LAYERS = ("^Class", "^Layer 5", "^Layer 4", "^Layer 3", "^Layer 2", "^Layer 1", "^Pixels")


def test_a_picture_is_predicted_and_explained(page: Page, door: Door, service: Service) -> None:
    set_options(page)
    page.click("#all-layers")
    choose = "Drop a picture, paste one, or choose a file"
    expect(page.locator("#file")).to_have_accessible_name(choose)
    answer = explained(page)
    notes, first = answer["notes"], answer["predictions"][0]
    expect(page.locator("#file")).to_have_accessible_name(choose)
    expect(page.locator("#file")).to_have_accessible_description(re.compile("^it's wide.png, 360 × 240 pixels"))
    expect(page.locator("#done")).to_have_text(f"Explained: {first['label']}, {100 * first['probability']:.1f} %")
    classes = len(service.rules.classes)
    expect(page.locator(".prediction")).to_have_count(5)
    expect(page.locator("#model")).to_contain_text("zfnet 1.0.0")
    expect(page.locator("#model")).to_contain_text(re.compile(rf"% right on [\d,]+ pictures of its {classes} classes"))
    expect(page.locator("#facts")).to_contain_text(f"pictures of its {classes} classes")
    expect(page.locator("#notes li")).to_have_text(notes)
    expect(page.locator(".rung h3")).to_have_text([re.compile(name) for name in LAYERS])
    expect(page.locator("#layers")).to_contain_text("Layer 5 in the paper: whole objects and their parts · 256 maps")
    expect(page.locator(".tile")).to_have_count(10)
    expect(page.locator("#caption")).to_contain_text("360 × 240 pixels; the net sees the square in the middle")
    expect(page.locator("#progress")).to_be_hidden()
    wanted = {"window": "56", "stride": "56", "features": "2", "layer": "1,2,3,4,5"}
    assert door.asked == [{}, wanted], "predictions come first; only what differs from the defaults is sent"
    command = f"curl -F 'data=@it'\\''s wide.png' -F layer=1,2,3,4,5 -F features=2 -F window=56 -F stride=56 {door.url}"
    expect(page.locator("#curl")).to_have_text(f"{command} -o 'it'\\''s wide-explanation.json'")
    second, third = (page.locator(".tile").nth(i) for i in (1, 2))
    second.focus()  # tiles scroll under the pointer where it rests: they do not count
    expect(page.locator("#field-caption")).to_contain_text(f"Layer 5, map {second.locator('b').inner_text()} sees rows")
    third.hover()
    expect(page.locator("#field-caption")).to_contain_text(f"Layer 4, map {third.locator('b').inner_text()} sees rows")


def test_keys_the_pointer_and_a_button_move_the_square_and_its_numbers_follow(page: Page) -> None:
    worst = explained(page)["occlusion"]["summary"]["worst"]
    expect(page.locator("#spoken")).to_have_text("")
    page.focus("#map-probability")
    for key in ("PageUp", "Home"):
        page.keyboard.press(key)
    expect(page.locator("#readout")).to_contain_text("rows 0–55, columns 0–55")
    for key in ("ArrowDown", "ArrowRight", "ArrowRight", "ArrowLeft"):
        page.keyboard.press(key)
    expect(page.locator("#readout")).to_contain_text("rows 56–111, columns 56–111")
    expect(page.locator("#spoken")).to_contain_text("Square: rows 56–111")
    for key in ("End", "PageDown", "ArrowDown"):
        page.keyboard.press(key)
    expect(page.locator("#readout")).to_contain_text("rows 168–223, columns 168–223")
    expect(page.locator("#readout dt")).to_have_count(4)
    side = page.locator("#map-class").evaluate("canvas => canvas.clientWidth")
    page.hover("#map-class", position={"x": side * 0.1, "y": side * 0.9})
    expect(page.locator("#readout")).to_contain_text("rows 168–223, columns 0–55")
    page.focus("#map-probability")
    page.keyboard.press("PageUp" if worst["top"] else "PageDown")
    page.click("#worst")
    expect(page.locator("#spoken")).to_contain_text(f"Square: rows {worst['top']}–{worst['top'] + 55}, columns")
    page.click("#explain")
    expect(page.locator("#spoken")).to_have_text("")


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


def is_stale(page: Page) -> bool:
    """Whether the results are dimmed, under a heading that says of what they are."""
    dimmed = page.locator("#occlusion-text, #downloads").evaluate_all(
        "all => all.map(e => getComputedStyle(e).opacity)"
    )
    said = page.locator(".result h2").evaluate_all("all => all.map(e => getComputedStyle(e, '::after').content)")
    assert set(dimmed) in ({"0.5"}, {"1"})
    assert set(said) in ({'" · from the options before"'}, {"none"})
    assert (set(dimmed) == {"0.5"}) == (set(said) != {"none"})
    return set(dimmed) == {"0.5"}


def test_choosing_a_prediction_while_another_explanation_is_awaited_asks_for_that_class(page: Page, door: Door) -> None:
    """Until it is explained the results are dimmed, and after one explanation the time of the next is estimated."""
    explain(page)
    assert not is_stale(page)
    first, second = (page.locator(".prediction").nth(i) for i in range(2))
    door.open.clear()
    page.fill("[name=stride]", "28")
    page.click("#explain")
    expect(page.locator("#progress-text")).to_contain_text("Explaining: 49 squares")
    second.click()
    expect(page.locator("#progress-text")).to_have_text(
        re.compile(r"Explaining: 49 squares, 2 projections, about [\d.]+ s")
    )
    expect(page.locator("#bar")).to_have_attribute("value", re.compile(r"^0\.\d+"))
    assert is_stale(page)
    expect(first).to_have_attribute("aria-pressed", "true")
    expect(second).to_have_attribute("aria-pressed", "false")
    page.focus("#cancel")
    door.open.set()
    expect(page.locator("#probability-title")).to_have_text(class_of(second))
    expect(second).to_have_attribute("aria-pressed", "true")
    expect(first).to_have_attribute("aria-pressed", "false")
    expect(page.locator("#progress")).to_be_hidden()
    expect(page.locator("#explain")).to_be_focused()
    expect(page.locator("#curl")).to_contain_text("-F stride=28")
    assert not is_stale(page)
    assert door.asked[-1]["target"] == class_of(second)


def test_choosing_a_prediction_by_keyboard_keeps_the_focus_on_it(page: Page) -> None:
    explain(page, window="112", stride="112", features="1")
    second = page.locator(".prediction").nth(1)
    second.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#probability-title")).to_have_text(class_of(second))
    expect(second).to_be_focused()


def test_results_are_dimmed_beside_an_error(page: Page) -> None:
    explain(page)
    marked = page.locator(".prediction[aria-pressed=true]")
    before = marked.inner_text()
    page.fill("[name=window]", "500")
    page.click("#explain")
    expect(page.get_by_role("alert")).to_contain_text("`window` must be")
    assert is_stale(page)
    expect(page.locator("#curl")).to_contain_text("window=56")
    assert marked.inner_text() == before, "the mark stands where the maps that are shown belong"
    second = page.locator(".prediction").nth(1)
    second.click()
    expect(page.locator("#error")).to_be_hidden()
    assert is_stale(page), "they are of another window than the one that is written"
    page.fill("[name=window]", "56")
    marked.click()
    assert not is_stale(page)
    page.fill("[name=window]", "112")
    page.click("#explain")
    expect(page.locator("#curl")).to_contain_text("window=112")
    assert not is_stale(page)


def test_a_class_that_was_clicked_is_the_pictures_and_one_that_was_written_the_persons(page: Page, door: Door) -> None:
    target, asked = page.locator("[name=target]"), page.locator("#asked")
    explain(page)
    expect(asked).to_be_hidden()
    first, second = (class_of(page.locator(".prediction").nth(i)) for i in range(2))
    told = f"Explained for {second}, the class that was asked for; the prediction is {first}."
    page.locator(".prediction").nth(1).click()
    expect(target).to_have_value(second)
    expect(asked).to_have_text(told)
    with page.expect_response("**/explanations/zfnet"):
        page.set_input_files("#file", WIDE)
    expect(asked).to_be_hidden()
    expect(target).to_have_value("")
    assert "target" not in door.asked[-1]
    page.locator(".prediction").nth(1).click()
    page.fill("[name=target]", second)
    with page.expect_response("**/explanations/zfnet"):
        page.set_input_files("#file", WIDE)
    expect(asked).to_have_text(told)
    assert door.asked[-1]["target"] == second
    page.locator(".prediction").nth(0).click()
    expect(target).to_have_value("")
    expect(asked).to_be_hidden()


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


def test_a_cross_check_that_fails_is_told_above_all_results(page: Page) -> None:
    verdicts = iter((True, False, None))

    def answer(route: Route) -> None:
        found, agrees = route.fetch().json(), next(verdicts)
        for method in ("deconv", "occlusion"):
            checked = {"max_relative_difference": 0.123, "agrees": agrees if method == "occlusion" else True}
            found.setdefault("crosscheck", {"library": "captum", "version": "0.8", "conventions": {}})[method] = checked
        route.fulfill(json=found)

    page.route("**/explanations/zfnet", answer)
    banner, bad = page.locator("#disagreement"), page.locator("#check .bad")
    target = explained(page, window="112", stride="112", features="1")["target"]["label"]
    expect(page.locator("#check-text")).to_contain_text(f"Occlusion maps of {target} agree with captum 0.8: largest")
    expect(bad).to_have_count(0)
    expect(banner).to_be_hidden()
    page.click("#explain")
    expect(banner).to_have_text(
        "The cross-check failed: do not rely on this explanation. "
        f"Occlusion maps of {target} do not agree with captum 0.8: largest difference 1.2e-1 of the largest value."
    )
    expect(bad).to_have_count(1)
    expect(bad).to_contain_text(f"Occlusion maps of {target} do not agree")
    page.click("#explain")
    expect(page.locator("#check-text")).to_contain_text(
        f"Occlusion maps of {target} in a reduced precision, compared with captum 0.8: largest"
    )
    expect(bad).to_have_count(0)
    expect(banner).to_be_hidden()


def test_options_of_a_method_that_is_off_are_not_sent(page: Page, door: Door) -> None:
    set_options(page)
    page.uncheck("[data-choices=methods] [value=occlusion]")
    expect(page.locator("[name=stride]")).to_be_disabled()
    expect(page.locator("[name=others]")).to_be_hidden()  # this net has no atlas
    page.fill("[name=feature]", "3, 4")
    expect(page.locator("[name=features]")).to_be_disabled()
    page.set_input_files("#file", WIDE)
    expect(page.locator(".tile b")).to_have_text(["3", "4"])
    expect(page.locator("#occlusion")).to_be_hidden()
    assert door.asked[-1] == {"methods": "deconv", "feature": "3, 4"}


def test_a_map_is_shown_in_other_pictures_where_that_is_asked_for(tab: Page, service: Service, tmp_path: Path) -> None:
    explainer = service.explainer
    folder = write_atlas(tmp_path, explainer.record.weights_sha256, {5: [3, 4]})
    trained = Checkpoint(explainer.chain, explainer.record)
    with opened(serving(trained, load_atlas(folder, explainer.record.weights_sha256))) as door:
        tab.goto(door.url)
        set_options(tab, feature="3, 7", others="2", window="112", stride="112")
        expect(tab.locator("[name=others]")).to_be_visible()
        tab.set_input_files("#file", WIDE)
        tab.click("text=The same maps in other images")
        shown = tab.locator(".others img")
        expect(shown).to_have_count(2)
        expect(shown.first).to_have_attribute("alt", f"n00, activation 9.5: {SOURCES[0]}")


def test_the_stride_follows_the_window_until_it_is_chosen(page: Page) -> None:
    set_options(page, window="4")
    expect(page.locator("[name=stride]")).to_have_value("4")
    expect(page.locator("#squares")).to_have_text("3,136 squares")
    expect(page.locator("#changed")).to_have_text("window 4")
    page.fill("[name=stride]", "2")
    expect(page.locator("#squares")).to_have_text("12,321 squares, more than the 4,096 allowed")
    page.click("#defaults")
    expect(page.locator("#changed")).to_have_text("all at their defaults")
    page.uncheck("[data-choices=methods] [value=occlusion]")
    expect(page.locator("#squares")).to_have_text("")
    page.check("[data-choices=methods] [value=occlusion]")
    expect(page.locator("#squares")).to_have_text("625 squares")


def test_errors_are_told_in_the_servers_words(page: Page) -> None:
    set_options(page, target="unicorn")
    page.set_input_files("#file", WIDE)
    expect(page.get_by_role("alert")).to_contain_text("`target` must be a class index")
    expect(page.locator("[name=target]")).to_be_focused()
    expect(page.locator(".prediction")).not_to_have_count(0)
    page.set_input_files("#file", NO_PICTURE)
    expect(page.get_by_role("alert")).to_contain_text("these bytes are not a picture this server reads")
    expect(page.locator(".prediction")).to_have_count(0)


def test_what_is_no_answer_of_the_server_is_not_blamed_on_the_page(page: Page) -> None:
    """The page that a proxy asks for a login with, and an answer of which only the beginning came."""
    login = "The server's answer is no {}: is something between it and this page that wants a login?"
    alert, calls = page.get_by_role("alert"), "**/{predictions,explanations}/zfnet"
    for content_type in ("text/html", "application/json"):
        page.route(calls, lambda route, kind=content_type: route.fulfill(content_type=kind, body="<h1>Log in</h1>"))
        page.set_input_files("#file", WIDE)
        expect(alert).to_have_text(login.format("JSON"))
        page.unroute(calls)
        page.click("#explain")
        expect(alert).to_be_hidden()
        page.locator("#take").wait_for()
    page.route(calls, lambda route: route.fulfill(content_type="text/html", body="<h1>Log in</h1>"))
    page.click("#downloads [value=npz]")
    expect(page.locator("#download-status")).to_have_text(login.format("npz"))
    page.evaluate(
        """() => {
            const broken = (stream) => {
                stream.enqueue(new TextEncoder().encode("{"));
                stream.error(new TypeError("network error"));
            };
            window.fetch = async () => new Response(new ReadableStream({ start: broken }));
        }"""
    )
    for name, place in (("#explain", alert), ("#downloads [value=png]", page.locator("#download-status"))):
        page.click(name)
        expect(place).to_have_text("The connection was lost while the answer came. Try again.")


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


def test_cancel_stops_the_wait_and_says_what_the_server_does(page: Page, door: Door) -> None:
    door.open.clear()
    page.set_input_files("#file", WIDE)
    expect(page.locator(".prediction")).not_to_have_count(0)
    expect(page.locator("#progress-text")).to_have_text("Explaining: 625 squares, 9 projections")
    assert page.get_attribute("#bar", "value") is None, "nothing is known yet of how long it takes"
    page.click("#cancel")
    expect(page.locator("#progress")).to_be_hidden()
    expect(page.locator("#explain")).to_be_focused()
    expect(page.locator("#stopped")).to_contain_text("The server finishes this job all the same")
    expect(page.locator("#error")).to_be_hidden()


def test_all_layers_of_a_deep_net_are_asked_for_with_as_many_maps_as_the_server_takes(
    tab: Page, service: Service
) -> None:
    deep = replace(service.rules, maps=(64,) * 13)
    tab.set_content(page_file("vgg16", deep).decode())
    set_options(tab)
    tab.click("#all-layers")
    asked = {"layer": ",".join(map(str, range(1, 14))), "features": tab.input_value("[name=features]")}
    options, _ = explain_options(asked, "", deep)
    assert (len(options.layers), options.features) == (13, 4)


def taken(page: Page, kind: str) -> bytes:
    """The file that a press of this button brings."""
    with page.expect_download() as download:
        page.click(f"#downloads [value={kind}]")
    assert download.value.suggested_filename == f"it's wide-explanation.{kind}"
    expect(page.locator("#download-status")).to_have_text(f"The {kind} is in your downloads.")
    expect(page.locator(f"#downloads [value={kind}]")).to_be_focused()
    return download.value.path().read_bytes()


def pasted(page: Page) -> str:
    """What the clipboard holds."""
    page.fill("[name=target]", "")
    page.focus("[name=target]")
    page.keyboard.press("ControlOrMeta+V")
    return page.input_value("[name=target]")


def test_every_format_can_be_taken_along(page: Page, door: Door) -> None:
    """As it was asked for, here under squares of a colour of one's own, and the JSON with or without its pictures."""
    set_options(page)
    page.select_option("[name=fill]", "colour")
    page.fill("[name=colour]", "#ff8000")
    explain(page, window="112", stride="112", features="1")
    expect(page.locator("#download-status")).not_to_contain_text("is in your downloads")
    png, npz, with_pictures, html = (taken(page, kind) for kind in ("png", "npz", "json", "html"))
    assert (png[:4], npz[:2], html[:9]) == (b"\x89PNG", b"PK", b"<!doctype")
    page.uncheck("#images")
    without = taken(page, "json")
    pictures = [b"iVBORw0KGgo" in content for content in (with_pictures, without)]  # how a PNG begins in base64
    assert pictures == [True, False]
    assert json.loads(without)["predictions"] == json.loads(with_pictures)["predictions"]
    asked = {"window": "112", "stride": "112", "features": "1", "fill": "#ff8000"}
    assert door.asked[1] == asked
    formats = [(one["format"], one.get("images")) for one in door.asked[2:]]
    assert formats == [("png", None), ("npz", None), ("json", None), ("html", None), ("json", "false")]
    assert {one["fill"] for one in door.asked[2:]} == {"#ff8000"}
    command = page.locator("#curl").inner_text()
    assert "-F 'fill=#ff8000'" in command
    page.click("#copy")
    wait_for(lambda: pasted(page) == command, "the command is not in the clipboard")


def test_labels_never_become_markup(tab: Page, service: Service) -> None:
    explainer = service.explainer
    classes = tuple(ClassName(name.synset, f"{HOSTILE} {name.label}") for name in explainer.record.classes)
    with opened(serving(Checkpoint(explainer.chain, replace(explainer.record, classes=classes)))) as door:
        tab.goto(door.url)
        explain(tab, window="112", stride="112", features="1")
        expect(tab.locator("#probability-title")).to_contain_text(HOSTILE)
        assert tab.locator("img[src=x]").count() == 0
        assert tab.title() == "zfnet: explain a picture"


def test_classes_that_share_a_label_are_told_apart_by_what_is_no_index(tab: Page, service: Service) -> None:
    explainer = service.explainer
    last = len(service.rules.classes) - 1
    classes = tuple(ClassName(str(last - index), "dog") for index in range(last + 1))
    with opened(serving(Checkpoint(explainer.chain, replace(explainer.record, classes=classes)))) as door:
        tab.goto(door.url)
        explain(tab, window="112", stride="112", features="1")
        names = sorted(f"dog ({name.synset})" for name in classes)
        told = [class_of(prediction) for prediction in tab.locator(".prediction").all()]
        assert len(set(told)) == len(told) == 5
        assert set(told) <= set(names)
        expect(tab.locator("#contrast-title")).to_have_text(f"{told[0]} against {told[1]}")
        expect(tab.locator("#compare option")).to_have_text(told[1:])
        expect(tab.locator("#standings li")).to_have_text([re.compile(re.escape(name)) for name in told])
        expect(tab.locator("#class-explained")).to_contain_text(f"{told[0]}, ")
        second = tab.locator(".prediction").nth(1)
        second.click()
        expect(tab.locator("#asked")).to_contain_text(f"Explained for {told[1]}, ")
        expect(tab.locator("#asked")).to_contain_text(f"the prediction is {told[0]}.")
        expect(second).to_have_attribute("aria-pressed", "true")
        tab.click("#explain")
        expect(tab.locator("#progress")).to_be_hidden()
        assert door.asked[-1]["target"] == classes[int(second.get_attribute("value") or "")].synset


def test_a_server_or_gateway_that_wants_a_token_is_given_it(tab: Page, service: Service) -> None:
    with opened(service, "sesame") as door:
        for refusal, said in ((NO_KEY, "Token Authorization failed"), (NO_TOKEN, "send a token")):
            door.refusal = refusal
            tab.goto(door.url)
            expect(tab.locator("#connection")).to_be_hidden()
            set_options(tab, window="112", stride="112", features="1")
            tab.set_input_files("#file", WIDE)
            expect(tab.get_by_role("alert")).to_contain_text(f"The server wants a token, in the field below: {said}")
            expect(tab.locator("#token-field")).to_contain_text("The server's inference key, or the gateway's token.")
            expect(tab.locator("#token")).to_be_focused()
            tab.keyboard.type("sesam")
            tab.keyboard.press("Enter")
            expect(tab.get_by_role("alert")).to_contain_text(f"This token is refused: {said}")
            expect(tab.locator("#token")).to_be_focused()
            tab.keyboard.type("e")
            tab.keyboard.press("Enter")
            expect(tab.locator("#curl")).to_contain_text('-H "Authorization: Bearer $TOKEN"')
            expect(tab.locator("#curl")).not_to_contain_text("sesame")


def test_opened_as_a_file_it_asks_for_the_server(tab: Page, door: Door, service: Service, tmp_path: Path) -> None:
    """Of a server that lets files in: their origin is `null`. Its address may be that of the explanations, or alone."""
    file = tmp_path / "explain.html"
    file.write_bytes(page_file("zfnet", service.rules))
    tab.goto(file.as_uri())
    tab.set_input_files("#file", WIDE)
    alert = tab.get_by_role("alert")
    expect(alert).to_contain_text("Give the server's address first")
    tab.fill("#server", door.url)
    tab.click("#explain")
    expect(alert).to_contain_text("pages of null may not use this server")
    explainer = service.explainer
    lenient = serving(Checkpoint(explainer.chain, explainer.record), allowed_origin="null")
    with opened(lenient) as other:
        tab.fill("#server", other.url.partition("/explanations")[0])
        explain(tab, window="112", stride="112", features="1")


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
