"""How a picture comes to the page: pasted, dropped, after another one, or not at all."""

from playwright.sync_api import Page, expect

from tests.browser.door import Door
from tests.browser.steps import WIDE, set_options, settle
from tests.samples import encoded, noise


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


def test_a_picture_that_cannot_be_read_is_said_to_be_that(page: Page, door: Door) -> None:
    """A folder, say, or a file that was moved away meanwhile."""
    gone = "Promise.reject(new DOMException('gone', 'NotFoundError'))"
    page.evaluate(f"() => {{ File.prototype.arrayBuffer = () => {gone}; }}")
    page.set_input_files("#file", WIDE)
    expect(page.get_by_role("alert")).to_contain_text("it's wide.png cannot be read")
    assert door.asked == []
