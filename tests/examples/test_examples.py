"""Every example, run as a person would against the real server."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from PIL import Image

from zfnet_explainer.serving.server import RunningServer

if TYPE_CHECKING:
    from playwright.sync_api import Page

PROJECT = Path(__file__).parents[2]
EXAMPLES = PROJECT / "examples"
SAMPLE = PROJECT / "model_store" / "samples" / "dingo.jpg"
CHROMIUM = shutil.which("chromium")
TIMEOUT_MS = 120_000


def run(script: str, *arguments: str, folder: Path, **environment: str) -> str:
    """What an example prints, run in this folder."""
    said = subprocess.run(  # noqa: S603
        [sys.executable, EXAMPLES / script, *arguments],
        cwd=folder, env=os.environ | environment, capture_output=True, text=True,
    )  # fmt: skip
    assert said.returncode == 0, said.stderr
    return said.stdout


def test_the_client_prints_classes_and_the_worst_square(server: RunningServer, tmp_path: Path) -> None:
    lines = run("client.py", str(SAMPLE), server.inference_url, folder=tmp_path).splitlines()
    assert [bool(re.fullmatch(r" *[\d.]+%  .+", line)) for line in lines] == [True] * 5 + [False] * 4
    assert re.match(r"Without the square at row \d+, column \d+, .+ is at [\d.]+%: -?[\d.]+ points less\.$", lines[5])


def test_the_notebook_draws_the_map_over_the_picture(server: RunningServer, tmp_path: Path) -> None:
    environment = {"ZFNET_URL": server.inference_url, "ZFNET_PICTURE": str(SAMPLE), "MPLBACKEND": "agg"}
    assert run("notebook.py", folder=tmp_path, **environment).startswith("Worst square: row ")
    with Image.open(tmp_path / "heatmap.png") as drawn:
        assert len(drawn.convert("RGB").getcolors(2**24) or ()) > 1000


@pytest.fixture
def tab(server: RunningServer) -> "Iterator[Page]":
    """A tab for which a gateway serves the page and a picture beside the server."""
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="the page is tried with Playwright: pip install .[test]"
    )
    if CHROMIUM is None:
        pytest.skip("there is no chromium here: apt-get install chromium")
    with playwright.sync_playwright() as running:
        chromium = running.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        opened: Page = chromium.new_page(base_url=server.inference_url)
        opened.set_default_timeout(TIMEOUT_MS)
        opened.route("**/dashboard.html", lambda route: route.fulfill(path=EXAMPLES / "dashboard.html"))
        opened.route("**/photos/a%20dingo.jpg", lambda route: route.fulfill(path=SAMPLE))
        opened.route("**/photos/none.jpg", lambda route: route.fulfill(status=404))
        yield opened
        chromium.close()


def wait_for_figure(tab: "Page") -> None:
    """Return once the explanation is drawn, at the size a figure has."""
    tab.wait_for_function(
        "() => { const f = document.getElementById('figure'); return !f.hidden && f.naturalWidth > 600 }"
    )


def test_the_page_shows_the_figure_of_a_chosen_picture(tab: "Page") -> None:
    tab.goto("/dashboard.html")
    tab.set_input_files("#file", SAMPLE)
    wait_for_figure(tab)
    assert tab.inner_text("#status") == ""


def test_the_page_says_why_there_is_no_figure(tab: "Page") -> None:
    tab.goto("/dashboard.html")
    tab.set_input_files("#file", {"name": "letter.txt", "mimeType": "text/plain", "buffer": b"Dear Sir or Madam"})
    tab.wait_for_function("document.getElementById('status').textContent.startsWith('No explanation: ')")
    assert tab.is_hidden("#figure")
    tab.goto("/dashboard.html#picture=/photos/none.jpg")
    tab.wait_for_function("document.getElementById('status').textContent === 'There is no picture at /photos/none.jpg'")


def test_the_data_link_opens_the_explanation_of_its_row(tab: "Page") -> None:
    written = re.findall(r"```json\n(.+?)```", (EXAMPLES / "grafana-link.md").read_text(), re.DOTALL)
    [link] = json.loads(written[0])["links"]
    field = "${__data.fields.picture:percentencode}"
    assert field in link["url"]
    address = link["url"].replace(field, quote("/photos/a dingo.jpg", safe=""))
    tab.goto(address.removeprefix("https://zfnet.example"))
    wait_for_figure(tab)
