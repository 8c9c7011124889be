"""A net that sees less than the whole square: the page shows, and lays its maps over, what it saw."""

import base64
import io
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import FilePayload, Page, expect

from tests.browser.door import Door, opened, serving
from tests.browser.steps import set_options, settle
from tests.chains import seeded
from tests.narrow import zfnet
from tests.samples import encoded, noise
from tests.served import RECORD
from zfnet_explainer.net.checkpoint import Checkpoint

RED, BLUE = (255, 0, 0), (0, 0, 255)
INNER = {"top": 16, "left": 88, "height": 224, "width": 224}


@pytest.fixture
def door() -> Iterator[Door]:
    seen = replace(RECORD.preprocessing, crop=0.875, interpolation="bilinear")
    with opened(serving(Checkpoint(seeded(zfnet(3, {}), 0), replace(RECORD, preprocessing=seen)))) as door:
        yield door


def framed() -> FilePayload:
    """400 x 256 pixels, blue where the net sees them and red elsewhere."""
    pixels = np.full((256, 400, 3), RED, np.uint8)
    pixels[16 : 16 + 224, 88 : 88 + 224] = BLUE
    return {"name": "framed.png", "mimeType": "image/png", "buffer": encoded(pixels)}


def drawn(page: Page, canvas: str) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """The pixels of a canvas [height, width, 3]."""
    settle(page)
    url = page.evaluate("id => document.getElementById(id).toDataURL()", canvas)
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))).convert("RGB"))


def test_the_page_shows_what_the_net_sees_and_lays_the_maps_over_that(page: Page) -> None:
    set_options(page, window="56", stride="56", features="1")
    with page.expect_response("**/explanations/zfnet") as response:
        page.set_input_files("#file", framed())
    page.locator("#take").wait_for()
    assert response.value.json()["image"]["crop"] == INNER
    expect(page.locator("#caption")).to_contain_text("400 × 256 pixels; the net sees the square in the middle.")
    shown = drawn(page, "original")
    inner = np.zeros(shown.shape[:2], bool)
    inner[16 : 16 + 224, 88 : 88 + 224] = True
    assert (shown[inner] == BLUE).all()
    assert (shown[~inner] < 128).all(), "darkened"
    expect(page.locator("#layers")).not_to_contain_text("in the paper")
    page.locator("#opacity").fill("0")
    for canvas in ("map-activity", "map-probability", "map-class", "map-square"):
        pixels = drawn(page, canvas).astype(int)
        assert (pixels == BLUE).all(-1).mean() > 0.5, canvas
        assert (pixels[..., 0] - pixels[..., 1] < 64).all(), f"{canvas} shows what the net did not see"


def test_a_square_picture_of_which_the_net_sees_the_middle_says_so(page: Page) -> None:
    page.set_input_files("#file", {"name": "square.png", "mimeType": "image/png", "buffer": encoded(noise(240, 240))})
    expect(page.locator("#caption")).to_contain_text("240 × 240 pixels; the net sees the square in the middle.")
