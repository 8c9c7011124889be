"""What a person does with the page in these tests, and what it then shows."""

from typing import Any

from playwright.sync_api import FilePayload, Locator, Page

from tests.samples import encoded, noise

WIDE: FilePayload = {"name": "it's wide.png", "mimeType": "image/png", "buffer": encoded(noise(240, 360))}


def set_options(page: Page, **options: str) -> None:
    """Open the options and write these."""
    page.locator("#options-details").evaluate("details => { details.open = true }")
    for name, value in options.items():
        page.fill(f"[name={name}]", value)


def explain(page: Page, **options: str) -> None:
    """Choose the picture and wait for its explanation, by default a small one."""
    set_options(page, **({"window": "56", "stride": "56", "features": "2"} | options))
    page.set_input_files("#file", WIDE)
    page.locator("#take").wait_for()


def explained(page: Page, **options: str) -> Any:
    """The answer that the page then shows."""
    with page.expect_response("**/explanations/zfnet") as response:
        explain(page, **options)
    return response.value.json()


def settle(page: Page) -> None:
    """Return when the maps are drawn."""
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


def class_of(prediction: Locator) -> str:
    return prediction.locator("span").first.inner_text()
