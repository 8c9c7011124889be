"""The page, used as people do: a picture explained, options chosen, errors told, answers taken along."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from playwright.sync_api import FilePayload, Page, Position, Route, expect

from tests.browser.door import NO_KEY, NO_TOKEN, Door, opened, serving
from tests.browser.steps import WIDE, class_of, explain, explained, set_options, settle
from tests.pictures.atlases import SOURCES, write_atlas
from tests.waiting import wait_for
from zfnet_explainer.net.checkpoint import Checkpoint
from zfnet_explainer.pictures.atlas import load_atlas
from zfnet_explainer.service.service import Service
from zfnet_explainer.wire.options import explain_options
from zfnet_explainer.wire.page.page import page as page_file

NO_PICTURE: FilePayload = {"name": "letter.txt", "mimeType": "text/plain", "buffer": b"Dear Sir or Madam"}
LAYERS = ("^Class", "^Layer 5", "^Layer 4", "^Layer 3", "^Layer 2", "^Layer 1", "^Pixels")


def fulfilling(**answer: Any) -> Callable[[Route], None]:
    """Routes that are answered so."""
    return lambda route: route.fulfill(**answer)


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
    page.mouse.down()
    page.hover("#map-probability", position={"x": side * 0.1, "y": side * 0.1})
    page.mouse.up()
    expect(page.locator("#readout")).to_contain_text("rows 0–55, columns 0–55")
    there, elsewhere = (Position(x=side * share, y=side * 0.4) for share in (0.4, 0.9))
    page.click("#map-class", position=there)
    for others in ("#map-probability", "#map-class"):
        page.hover(others, position=elsewhere)
        settle(page)
        expect(page.locator("#readout")).to_contain_text("rows 56–111, columns 56–111")
    page.click("#map-probability", position=there)
    page.hover("#map-class", position=elsewhere)
    expect(page.locator("#readout")).to_contain_text("rows 56–111, columns 168–223")
    page.click("#map-class", position=there)
    page.focus("#map-class")
    page.keyboard.press("ArrowUp")
    expect(page.locator("#readout")).to_contain_text("rows 0–55, columns 56–111")
    page.hover("#map-class", position=elsewhere)
    expect(page.locator("#readout")).to_contain_text("rows 56–111, columns 168–223")
    page.focus("#map-probability")
    page.keyboard.press("PageUp" if worst["top"] else "PageDown")
    page.click("#worst")
    expect(page.locator("#spoken")).to_contain_text(f"Square: rows {worst['top']}–{worst['top'] + 55}, columns")
    page.click("#explain")
    expect(page.locator("#spoken")).to_have_text("")


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
        f"Occlusion maps of {target} are rounded and need not agree with captum 0.8: largest"
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
        expect(shown.first).to_have_attribute("alt", SOURCES[0])
        expect(tab.locator(".others figcaption").first).to_have_text("n00, 9.5")


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


def test_what_is_no_answer_of_the_server_is_not_blamed_on_the_page(page: Page, door: Door) -> None:
    """The page that a proxy asks for a login with, and an answer of which only the beginning came."""
    login = "The server's answer is no {}: is something between it and this page that wants a login?"
    alert, calls = page.get_by_role("alert"), "**/{predictions,explanations}/zfnet"
    for content_type in ("text/html", "application/json"):
        page.route(calls, fulfilling(content_type=content_type, body="<h1>Log in</h1>"))
        page.set_input_files("#file", WIDE)
        expect(alert).to_have_text(login.format("JSON"))
        page.unroute(calls)
        page.click("#explain")
        expect(alert).to_be_hidden()
        page.locator("#take").wait_for()
    page.route(calls, lambda route: route.fulfill(content_type="text/html", body="<h1>Log in</h1>"))
    for file_format in ("npz", "html"):
        page.click(f"#downloads [value={file_format}]")
        expect(page.locator("#download-status")).to_have_text(login.format(file_format))
    page.unroute(calls)
    door.wants_login = True
    page.click("#downloads [value=json]")
    expect(page.locator("#download-status")).to_have_text(login.format("json"))
    page.click("#downloads [value=html]")
    expect(page.locator("#download-status")).to_have_text(login.format("html"))
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
    expect(page.locator("#done")).to_have_text(page.locator("#stopped").inner_text())
    expect(page.locator("#error")).to_be_hidden()


def test_all_layers_of_a_deep_net_are_asked_for_with_as_many_maps_as_the_server_takes(
    tab: Page, service: Service
) -> None:
    deep = replace(service.rules, maps=(64,) * 13)
    tab.set_content(page_file("vgg16", deep).decode())
    set_options(tab)
    tab.click("#all-layers")
    asked = {"layer": ",".join(map(str, range(1, 14))), "features": tab.input_value("[name=features]")}
    options, _ = explain_options(asked, "", deep, "plain")
    assert (len(options.layers), options.features) == (13, 4)


def taken(page: Page, kind: str) -> bytes:
    """The file that a press of this button brings."""
    with page.expect_download() as download:
        page.click(f"#downloads [value={kind}]")
    assert download.value.suggested_filename == f"it's wide-explanation.{kind}"
    expect(page.locator("#download-status")).to_have_text(f"it's wide-explanation.{kind} is in your downloads.")
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
    said, html_button = page.locator("#download-status"), page.locator("#downloads [value=html]")
    page.locator(".prediction").nth(1).click()
    expect(said).to_have_text("Each file is computed anew with the options of this explanation.")
    page.locator(".prediction").nth(0).click()
    door.open.clear()
    with page.expect_download():
        page.locator("#downloads [value=json]").press("Enter")
        expect(html_button).to_have_attribute("aria-disabled", "true")
        html_button.press("Enter")
        page.locator(".prediction").nth(1).click()
        expect(said).to_have_text("Preparing it's wide-explanation.json …")
        door.open.set()
    expect(html_button).to_have_attribute("aria-disabled", "false")
    page.locator(".prediction").nth(0).click()
    formats = [(one["format"], one.get("images")) for one in door.asked[2:]]
    assert formats == [("png", None), ("npz", None), ("json", None), ("html", None), *2 * [("json", "false")]]
    assert {one["fill"] for one in door.asked[2:]} == {"#ff8000"}
    command = page.locator("#curl").inner_text()
    assert "-F 'fill=#ff8000'" in command
    page.click("#copy")
    wait_for(lambda: pasted(page) == command, "the command is not in the clipboard")


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
            tab.fill("#token", "sesam")
            tab.click("#downloads [value=png]")
            expect(tab.locator("#download-status")).to_contain_text(f"This token is refused: {said}")
            expect(tab.locator("#token")).to_be_focused()


def test_a_sign_in_that_has_ended_is_not_taken_for_the_projects_token(page: Page) -> None:
    """A proxy's, whose 401 may have a page, JSON of its own or nothing; `Bearer` alone asks for the token."""
    refusals: tuple[tuple[dict[str, str], str, str], ...] = (
        ({}, "<h1>Log in</h1>", "Your sign-in has ended: reload this page."),
        ({"WWW-Authenticate": 'Basic realm="team"'}, '{"error": "login"}', "Your sign-in has ended: reload this page."),
        ({"WWW-Authenticate": 'Bearer realm="zfnet"'}, "", "The server wants a token, in the field below: "),
    )
    for headers, body, said in refusals:
        page.route("**/predictions/zfnet", fulfilling(status=401, headers=headers, body=body))
        page.set_input_files("#file", WIDE)
        expect(page.get_by_role("alert")).to_contain_text(said)
        expect(page.locator("#token-field")).to_be_visible(visible="token" in said)
        page.unroute("**/predictions/zfnet")


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
        tab.fill("#server", "")
        second = tab.locator(".prediction").nth(1)
        second.click()
        expect(tab.locator("#curl")).to_contain_text(class_of(second))
        expect(tab.locator("#curl")).to_contain_text(other.url)
