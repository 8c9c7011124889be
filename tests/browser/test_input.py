"""How a picture comes to the page: pasted, dropped, after another one, or not at all."""

import math

import numpy as np
import pytest
from PIL import ExifTags, Image
from playwright.sync_api import Page, Route, expect

from tests.browser.door import Door
from tests.browser.steps import WIDE, set_options, settle
from tests.samples import encoded, noise, saved


def test_a_picture_can_be_pasted_and_dropped(page: Page) -> None:
    send = """([kind, bytes]) => {
        const data = new DataTransfer();
        data.items.add(new File([new Uint8Array(bytes)], kind + ".png", { type: "image/png" }));
        const paste = () => new ClipboardEvent(kind, { clipboardData: data });
        const drop = () => new DragEvent(kind, { dataTransfer: data });
        document.dispatchEvent(kind === "paste" ? paste() : drop());
    }"""
    set_options(page, window="112", stride="112", features="1")
    for kind in ("paste", "drop"):
        page.evaluate(send, [kind, list(encoded(noise(24, 32)))])
        expect(page.locator("#caption")).to_contain_text(f"{kind}.png, 32 × 24 pixels")
        expect(page.locator("#take")).to_be_visible()
    original = page.locator("#original").evaluate("e => [e.clientWidth, getComputedStyle(e).imageRendering]")
    assert original == [128, "pixelated"], "a small one can be looked at"


def test_text_that_is_dropped_goes_where_it_would_without_the_page(page: Page) -> None:
    taken = page.evaluate(
        """() => ["dragover", "drop"].map((kind) => {
            const dataTransfer = new DataTransfer();
            dataTransfer.setData("text/plain", "tench");
            const event = new DragEvent(kind, { dataTransfer, bubbles: true, cancelable: true });
            document.querySelector("[name=target]").dispatchEvent(event);
            return event.defaultPrevented || document.getElementById("drop").classList.contains("over");
        })"""
    )
    assert taken == [False, False]


def test_what_is_pasted_into_an_option_or_is_text_replaces_no_picture(page: Page) -> None:
    """Spreadsheets lay a picture of a cell beside its text, and file managers a file's name beside the file."""
    read = page.evaluate(
        """() => {
            const read = [];
            File.prototype.arrayBuffer = function () {
                read.push(this.name);
                return new Promise(() => {});
            };
            const paste = (selector, name, text) => {
                const clipboardData = new DataTransfer();
                clipboardData.items.add(new File([], name, { type: "image/png" }));
                if (text) clipboardData.setData("text/plain", text);
                const event = new ClipboardEvent("paste", { clipboardData, bubbles: true });
                document.querySelector(selector).dispatchEvent(event);
            };
            paste("body", "cell.png", "tench");
            paste("[name=target]", "option.png", "");
            paste("[name=fill]", "select.png", "");
            paste("body", "alone.png", "");
            paste("body", "file.png", "/home/me/file.png");
            paste("#file", "chosen.png", "");
            return read;
        }"""
    )
    assert read == ["alone.png", "file.png", "chosen.png"]


def test_of_two_pictures_the_later_is_explained_though_it_is_read_first(page: Page, door: Door) -> None:
    """A large one may take a while to read."""
    set_options(page, window="112", stride="112", features="1")
    page.evaluate(
        """([large, small]) => {
            const [read, decode] = [Blob.prototype.arrayBuffer, createImageBitmap];
            const wait = new Promise((go) => { window.readLarge = go; });
            File.prototype.arrayBuffer = async function () {
                if (this.name === "large.png") await wait;
                return read.call(this);
            };
            let decoded = 0;
            const both = new Promise((done) => {
                window.createImageBitmap = (blob) => decode(blob).finally(() => ++decoded === 2 && done());
            });
            window.bothDecoded = both;
            window.givenBack = [];
            const { close } = ImageBitmap.prototype;
            ImageBitmap.prototype.close = function () {
                givenBack.push(this.width);
                close.call(this);
            };
            for (const [name, bytes] of Object.entries({ "large.png": large, "small.png": small })) {
                const data = new DataTransfer();
                data.items.add(new File([new Uint8Array(bytes)], name, { type: "image/png" }));
                document.dispatchEvent(new DragEvent("drop", { dataTransfer: data }));
            }
        }""",
        [list(encoded(noise(48, 64))), list(encoded(noise(24, 32)))],
    )
    page.locator("#take").wait_for()
    page.evaluate("() => { readLarge(); return bothDecoded; }")
    settle(page)
    expect(page.locator("#caption")).to_contain_text("small.png, 32 × 24 pixels")
    expect(page.locator("#curl")).to_contain_text("small.png")
    assert door.pictures == {encoded(noise(24, 32))}
    assert page.evaluate("givenBack") == [64], "the memory of a picture that is not shown is given back"
    page.set_input_files("#file", WIDE)
    expect(page.locator("#curl")).to_contain_text("wide")
    assert page.evaluate("givenBack") == [64, 32]


def test_a_picture_of_a_line_is_shown_where_another_can_be_chosen(page: Page) -> None:
    set_options(page, window="224", stride="224", features="1")
    page.set_input_files("#file", {"name": "line.png", "mimeType": "image/png", "buffer": encoded(noise(1, 3000))})
    expect(page.locator("#caption")).to_contain_text("3000 × 1 pixels")
    page.locator("#take").wait_for()
    assert page.locator("#original").evaluate("canvas => [canvas.width, canvas.height]") == [896, 1]
    assert page.locator("#drop").evaluate("drop => drop.getBoundingClientRect().height") >= 44


def test_a_picture_that_cannot_be_read_is_said_to_be_that(page: Page, door: Door) -> None:
    """A folder, say, or a file that was moved away meanwhile."""
    gone = "Promise.reject(new DOMException('gone', 'NotFoundError'))"
    page.evaluate(f"() => {{ File.prototype.arrayBuffer = () => {gone}; }}")
    page.set_input_files("#file", WIDE)
    expect(page.get_by_role("alert")).to_contain_text("it's wide.png cannot be read")
    assert door.asked == []


def test_a_picture_that_the_server_reads_at_another_size_is_not_drawn_under_the_maps(page: Page) -> None:
    def turned(route: Route) -> None:
        found = route.fetch().json()
        found["image"] |= {"width": 240, "height": 360}
        route.fulfill(json=found)

    page.route("**/explanations/zfnet", turned)
    set_options(page, window="112", stride="112", features="1")
    page.set_input_files("#file", WIDE)
    expect(page.locator("#caption")).to_have_text(
        "it's wide.png: the server reads 240 × 360 pixels, this browser 360 × 240; maps are drawn without the picture."
    )
    expect(page.locator("#original")).to_be_hidden()


@pytest.mark.parametrize(("orientation", "shown"), [(1, True), (3, False)])
def test_a_webp_that_its_exif_turns_is_not_drawn_as_it_is_stored(page: Page, orientation: int, shown: bool) -> None:
    """The server turns it, Chromium does not; upside down it has the same size."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    webp = saved(Image.fromarray(noise(240, 360)), "WEBP", exif=exif)
    set_options(page, window="112", stride="112", features="1")
    page.set_input_files("#file", {"name": "turned.webp", "mimeType": "image/webp", "buffer": webp})
    page.locator("#take").wait_for()
    expect(page.locator("#original")).to_be_visible(visible=shown)


@pytest.mark.parametrize(("filters", "off"), [(True, 4), (False, 12)], ids=["filter", "Safari"])
def test_a_blurred_square_is_blurred_to_the_pictures_edge(page: Page, filters: bool, off: int) -> None:
    """Black beside white, blurred, is the normal distribution; a browser without filters comes near it."""
    if not filters:
        page.evaluate("() => { delete CanvasRenderingContext2D.prototype.filter; }")
    step = np.zeros((224, 224, 3), np.uint8)
    step[:, 56:] = 255
    set_options(page, window="112", stride="112", features="1")
    page.select_option("[name=fill]", "blur")
    page.set_input_files("#file", {"name": "step.png", "mimeType": "image/png", "buffer": encoded(step)})
    page.locator("#take").wait_for()
    page.focus("#map-class")
    for key in ("PageUp", "Home"):
        page.keyboard.press(key)
    settle(page)
    columns = [6, 28, 56, 84, 100]
    drawn = page.evaluate(
        "(columns) => { const c = document.getElementById('map-square'), at = (p) => Math.floor(p / 224 * c.width);"
        " return columns.map((x) => c.getContext('2d').getImageData(at(x), at(6), 1, 1).data[0]) }",
        columns,
    )
    blurred = [255 * (1 + math.erf((x - 56) / 28 / math.sqrt(2))) / 2 for x in columns]
    assert drawn == pytest.approx(blurred, abs=off)
