"""The page in Chromium, against the real service: what a person sees, presses and is told."""

import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch

from tests.atlases import SOURCES, write_atlas
from tests.browser.door import Door, opened
from tests.pictures import encoded, noise
from tests.served import checkpoint
from zfnet_explainer.atlas import Atlas
from zfnet_explainer.atlas import load as load_atlas
from zfnet_explainer.explainer import Explainer
from zfnet_explainer.net.checkpoint import Checkpoint, ClassName, load
from zfnet_explainer.wire.page.page import page as page_file
from zfnet_explainer.wire.service import Limits, Service

if TYPE_CHECKING:
    from playwright.sync_api import Browser, FilePayload, Page

playwright = pytest.importorskip("playwright.sync_api", reason="the page is tried with Playwright: pip install .[test]")
expect = playwright.expect
CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium here: apt-get install chromium")

WEIGHTS = Path(__file__).parents[2] / "model_store" / "zfnet.safetensors"
WIDE: "FilePayload" = {"name": "it's wide.png", "mimeType": "image/png", "buffer": encoded(noise(240, 360))}
NO_PICTURE: "FilePayload" = {"name": "letter.txt", "mimeType": "text/plain", "buffer": b"Dear Sir or Madam"}
HOSTILE = "<img src=x onerror='document.title=`run`'>"
TIMEOUT_MS = 60_000


@pytest.fixture(scope="module")
def browser() -> "Iterator[Browser]":
    with playwright.sync_playwright() as running:
        chromium = running.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


def serving(trained: Checkpoint, atlas: Atlas | None = None, allowed_origin: str = "") -> Service:
    explainer = Explainer(trained, torch.device("cpu"), atlas)
    return Service(explainer, "zfnet", "1.0.0", Limits(), allowed_origin=allowed_origin)


@pytest.fixture(scope="module")
def service() -> Service:
    """The trained net where it is there, else a random one, which answers as readily."""
    return serving(load(WEIGHTS) if WEIGHTS.exists() else checkpoint())


@pytest.fixture
def door(service: Service) -> Iterator[Door]:
    with opened(service) as door:
        yield door


@pytest.fixture
def page(browser: "Browser", door: Door) -> "Iterator[Page]":
    """The page, open; in the end it must have talked to its own server only and thrown nothing."""
    with browser.new_context() as context:
        tab = context.new_page()
        tab.set_default_timeout(TIMEOUT_MS)
        expect.set_options(timeout=TIMEOUT_MS)
        requested, failures = [], []
        tab.on("request", lambda request: requested.append(request.url))
        tab.on("pageerror", lambda error: failures.append(str(error)))
        tab.on("console", lambda said: failures.append(said.text) if "Content Security Policy" in said.text else None)
        tab.goto(door.url)
        yield tab
        origin = door.url.partition("/explanations")[0]
        assert [url for url in requested if not url.startswith((f"{origin}/", "data:", "blob:", "file:"))] == []
        assert failures == []


def set_options(page: "Page", **options: str) -> None:
    """Open the options and write these."""
    page.locator("#options-details").evaluate("details => { details.open = true }")
    for name, value in options.items():
        page.fill(f"[name={name}]", value)


def explain(page: "Page", **options: str) -> None:
    """Choose the picture and wait for its explanation, by default a small one."""
    set_options(page, **({"window": "56", "stride": "56", "features": "2"} | options))
    page.set_input_files("#file", WIDE)
    expect(page.locator("#take")).to_be_visible()


def test_a_picture_is_predicted_and_explained(page: "Page", door: Door, service: Service) -> None:
    set_options(page)
    page.click("#all-layers")
    explain(page)
    expect(page.locator(".prediction")).to_have_count(min(5, len(service.rules.classes)))
    expect(page.locator("#model")).to_contain_text("zfnet 1.0.0")
    expect(page.locator(".rung h3")).to_have_text(
        [re.compile(name) for name in ("^Class", "^Layer 5", "^Layer 4", "^Layer 3", "^Layer 2", "^Layer 1", "^Pixels")]
    )
    expect(page.locator(".tile")).to_have_count(10)
    expect(page.locator("#caption")).to_contain_text("360 × 240 pixels; the net sees the square in the middle")
    expect(page.locator("#progress")).to_be_hidden()
    wanted = {"window": "56", "stride": "56", "features": "2", "layer": "1,2,3,4,5"}
    assert door.asked == [{}, wanted], "predictions come first; only what differs from the defaults is sent"
    command = f"curl -F 'data=@it'\\''s wide.png' -F layer=1,2,3,4,5 -F features=2 -F window=56 -F stride=56 {door.url}"
    expect(page.locator("#curl")).to_have_text(command)


def test_the_arrow_keys_move_the_square_and_its_numbers_follow(page: "Page") -> None:
    explain(page)
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


def test_pointing_at_a_map_moves_the_square(page: "Page") -> None:
    explain(page)
    side = page.locator("#map-class").evaluate("canvas => canvas.clientWidth")
    page.hover("#map-class", position={"x": side * 0.1, "y": side * 0.9})
    expect(page.locator("#readout")).to_contain_text("rows 168–223, columns 0–55")


def test_maps_are_drawn_over_the_picture_and_can_be_faded(page: "Page") -> None:
    explain(page)
    drawn = "id => document.getElementById(id).toDataURL()"

    def settled(id: str) -> str:
        page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        return str(page.evaluate(drawn, id))

    before = settled("map-probability")
    page.locator("#opacity").fill("0")
    faded = settled("map-probability")
    assert faded != before
    assert faded == settled("map-class"), "without its colours every map is the picture with the square's outline"


def test_a_focused_map_shows_what_it_saw(page: "Page") -> None:
    explain(page)
    tile = page.locator(".tile").nth(1)
    tile.focus()
    feature = tile.locator("b").inner_text()
    expect(page.locator("#field-caption")).to_contain_text(f"Layer 5, map {feature} sees rows")


def test_choosing_a_prediction_explains_that_class(page: "Page", door: Door) -> None:
    explain(page)
    second = page.locator(".prediction").nth(1)
    label = second.locator("span").first.inner_text()
    second.click()
    expect(page.locator("#probability-title")).to_have_text(label)
    expect(page.locator(".prediction[aria-pressed=true]")).to_contain_text(label)
    assert door.asked[-1]["target"] == label


def test_options_of_a_method_that_is_off_are_not_sent(page: "Page", door: Door) -> None:
    set_options(page)
    page.uncheck("[data-choices=methods] [value=occlusion]")
    expect(page.locator("[name=stride]")).to_be_disabled()
    page.fill("[name=feature]", "3, 4")
    expect(page.locator("[name=features]")).to_be_disabled()
    page.set_input_files("#file", WIDE)
    expect(page.locator(".tile b")).to_have_text(["3", "4"])
    expect(page.locator("#occlusion")).to_be_hidden()
    assert door.asked[-1] == {"methods": "deconv", "feature": "3, 4"}


def test_a_map_is_shown_in_other_pictures_where_that_is_asked_for(
    browser: "Browser", service: Service, tmp_path: Path
) -> None:
    explainer = service.explainer
    folder = write_atlas(tmp_path, explainer.record.weights_sha256, {5: [3, 4]})
    trained = Checkpoint(explainer.chain, explainer.record)
    with opened(serving(trained, load_atlas(folder, explainer.record.weights_sha256))) as door:
        page = browser.new_page()
        page.goto(door.url)
        set_options(page, feature="3, 7", others="2", window="56", stride="56")
        page.set_input_files("#file", WIDE)
        page.click("text=The same maps in other images")
        shown = page.locator(".others img")
        expect(shown).to_have_count(2)
        expect(shown.first).to_have_attribute("alt", f"{SOURCES[0]}, activation 9.5")
        page.close()


def test_the_stride_follows_the_window_until_it_is_chosen(page: "Page") -> None:
    set_options(page, window="4")
    expect(page.locator("[name=stride]")).to_have_value("4")
    expect(page.locator("#squares")).to_have_text("3,136 squares")
    expect(page.locator("#changed")).to_have_text("window 4")
    page.fill("[name=stride]", "2")
    expect(page.locator("#squares")).to_have_text("12,321 squares, more than the 4,096 allowed")
    page.click("#defaults")
    expect(page.locator("#changed")).to_have_text("all at their defaults")


def test_errors_are_told_in_the_servers_words(page: "Page") -> None:
    set_options(page, target="unicorn")
    page.set_input_files("#file", WIDE)
    expect(page.get_by_role("alert")).to_contain_text("`target` must be a class index")
    expect(page.locator("[name=target]")).to_be_focused()
    expect(page.locator(".prediction")).not_to_have_count(0)
    page.set_input_files("#file", NO_PICTURE)
    expect(page.get_by_role("alert")).to_contain_text("these bytes are not a picture this server reads")
    expect(page.locator(".prediction")).to_have_count(0)


def test_cancel_stops_the_wait_and_says_what_the_server_does(page: "Page", door: Door) -> None:
    door.open.clear()
    page.set_input_files("#file", WIDE)
    expect(page.locator(".prediction")).not_to_have_count(0)
    expect(page.locator("#progress-text")).to_have_text("Explaining: 625 squares, 9 projections")
    assert page.get_attribute("#bar", "value") is None, "nothing is known yet of how long it takes"
    page.click("#cancel")
    expect(page.locator("#progress")).to_be_hidden()
    expect(page.locator("#stopped")).to_contain_text("The server finishes this job all the same")
    expect(page.locator("#error")).to_be_hidden()


def test_after_one_explanation_the_time_of_the_next_is_estimated(page: "Page", door: Door) -> None:
    explain(page)
    door.open.clear()
    page.fill("[name=stride]", "28")
    page.click("#explain")
    expect(page.locator("#progress-text")).to_have_text(
        re.compile(r"Explaining: 49 squares, 2 projections, about [\d.]+ s")
    )
    expect(page.locator("#bar")).to_have_attribute("value", re.compile(r"^0\.\d+"))
    door.open.set()
    expect(page.locator("#progress")).to_be_hidden()
    expect(page.locator("#curl")).to_contain_text("-F stride=28")


def test_a_picture_can_be_pasted_and_dropped(page: "Page") -> None:
    send = """([kind, bytes]) => {
        const data = new DataTransfer();
        data.items.add(new File([new Uint8Array(bytes)], kind + ".png", { type: "image/png" }));
        const paste = () => new ClipboardEvent(kind, { clipboardData: data });
        const drop = () => new DragEvent(kind, { dataTransfer: data });
        document.dispatchEvent(kind === "paste" ? paste() : drop());
    }"""
    set_options(page, window="112", stride="112")
    for kind in ("paste", "drop"):
        page.evaluate(send, [kind, list(encoded(noise()))])
        expect(page.locator("#caption")).to_contain_text(f"{kind}.png, 224 × 224 pixels")
        expect(page.locator("#take")).to_be_visible()


@pytest.mark.parametrize(
    ("kind", "start"), [("png", b"\x89PNG"), ("npz", b"PK"), ("json", b"{"), ("html", b"<!doctype")]
)
def test_every_format_can_be_taken_along(page: "Page", kind: str, start: bytes) -> None:
    explain(page, window="112", stride="112")
    with page.expect_download() as download:
        page.click(f"#downloads [value={kind}]")
    assert download.value.suggested_filename == f"it's wide-explanation.{kind}"
    assert download.value.path().read_bytes().startswith(start)
    expect(page.locator("#download-status")).to_contain_text("is in your downloads")


def test_labels_never_become_markup(browser: "Browser") -> None:
    trained = checkpoint()
    classes = tuple(ClassName(name.synset, f"{HOSTILE} {name.label}") for name in trained.record.classes)
    with opened(serving(Checkpoint(trained.chain, replace(trained.record, classes=classes)))) as door:
        tab = browser.new_page()
        tab.goto(door.url)
        explain(tab)
        expect(tab.locator("#probability-title")).to_contain_text(HOSTILE)
        assert tab.locator("img[src=x]").count() == 0
        assert tab.title() == "zfnet: explain a picture"
        tab.close()


def test_a_server_that_wants_a_token_is_given_it(browser: "Browser", service: Service) -> None:
    with opened(service, token="sesame") as door:  # noqa: S106
        tab = browser.new_page()
        tab.goto(door.url)
        expect(tab.locator("#connection")).to_be_hidden()
        set_options(tab, window="112", stride="112")
        tab.set_input_files("#file", WIDE)
        expect(tab.get_by_role("alert")).to_contain_text("Token Authorization failed")
        expect(tab.locator("#token")).to_be_focused()
        tab.keyboard.type("sesame")
        tab.keyboard.press("Enter")
        expect(tab.locator("#curl")).to_contain_text('-H "Authorization: Bearer $TOKEN"')
        expect(tab.locator("#curl")).not_to_contain_text("sesame")
        tab.close()


def test_opened_as_a_file_it_asks_for_the_server(browser: "Browser", service: Service, tmp_path: Path) -> None:
    """Of a server that lets files in: their origin is `null`."""
    file = tmp_path / "explain.html"
    file.write_bytes(page_file("zfnet", service.rules))
    explainer = service.explainer
    lenient = serving(Checkpoint(explainer.chain, explainer.record), allowed_origin="null")
    with opened(lenient) as door:
        tab = browser.new_page()
        tab.goto(file.as_uri())
        tab.set_input_files("#file", WIDE)
        expect(tab.get_by_role("alert")).to_contain_text("Give the server's address first")
        tab.fill("#server", door.url)
        explain(tab, window="112", stride="112")
        tab.close()


def test_opened_as_a_file_it_says_that_the_server_does_not_let_it_in(
    browser: "Browser", door: Door, service: Service, tmp_path: Path
) -> None:
    file = tmp_path / "explain.html"
    file.write_bytes(page_file("zfnet", service.rules))
    tab = browser.new_page()
    tab.goto(file.as_uri())
    tab.fill("#server", door.url)
    tab.set_input_files("#file", WIDE)
    expect(tab.get_by_role("alert")).to_contain_text("pages of null may not use this server")
    tab.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 1280])
def test_nothing_sticks_out_at_any_width(page: "Page", width: int, scheme: str) -> None:
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    page.set_viewport_size({"width": width, "height": 700})
    explain(page, window="112", stride="112")
    for details in page.locator("details").all():
        details.evaluate("details => { details.open = true }")
    assert page.evaluate("document.documentElement.scrollWidth") == width
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(20, 24, 27)") == (scheme == "dark")
