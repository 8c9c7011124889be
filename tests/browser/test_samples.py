"""The pictures that the page offers: explained like a person's own, their terms told, none where the model has none."""

from playwright.sync_api import Page, expect

from tests.browser.door import Door, opened, serving
from tests.browser.steps import set_options
from tests.samples import MODEL_STORE
from zfnet_explainer.net.checkpoint import Checkpoint
from zfnet_explainer.pictures.samples import load_samples
from zfnet_explainer.service.service import Service

SAMPLES = load_samples(MODEL_STORE)


def test_a_sample_is_explained_like_a_dropped_file(page: Page, door: Door) -> None:
    expect(page.locator(".sample")).to_have_count(len(SAMPLES))
    set_options(page, window="112", stride="112", features="1")
    dingo = page.locator(".sample", has_text="a dingo")
    assert dingo.locator("img").evaluate("image => image.naturalWidth > 0"), "the policy lets it be shown"
    dingo.press("Enter")
    page.locator("#take").wait_for()
    expect(page.locator("#caption")).to_contain_text("dingo.jpg, ")
    expect(page.locator("#curl")).to_contain_text("data=@dingo.jpg")
    assert door.file_names == {b"picture"}, "what a person calls it stays here"
    [sent] = door.pictures
    assert sent == (MODEL_STORE / "samples" / "dingo.jpg").read_bytes()


def test_whose_the_samples_are_is_told(page: Page) -> None:
    page.click("text=Their sources and licences")
    credits = page.locator("#samples-credits li")
    expect(credits).to_have_text([f"{sample.title}: {sample.credit}. {sample.licence}." for sample in SAMPLES])
    expect(credits.nth(2)).to_contain_text("Peter Haas")
    expect(credits.nth(2)).to_contain_text("CC BY-SA 3.0")


def test_a_model_without_samples_offers_none(tab: Page, service: Service) -> None:
    explainer = service.explainer
    with opened(serving(Checkpoint(explainer.chain, explainer.record))) as door:
        tab.goto(door.url)
        expect(tab.locator("#drop")).to_be_visible()
        expect(tab.locator("#samples")).to_be_hidden()
