"""Every example, run as a person would against the real server."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, Route

from zfnet_explainer.torchserve.server import RunningServer

from ..chromium import running_chromium
from ..deploy.upstream import Reply, running_upstream

pytestmark = pytest.mark.slow

PROJECT = Path(__file__).parents[2]
EXAMPLES = PROJECT / "examples"
SAMPLE = PROJECT / "model_store" / "samples" / "dingo.jpg"
DEEPEST = 103, 0, 31  # RdBu_r at its red end
TIMEOUT_MS = 120_000


def start(script: str, *arguments: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """An example, run to its end in this folder."""
    return subprocess.run(
        [sys.executable, EXAMPLES / script, *arguments],
        cwd=folder, env=os.environ | {"NO_PROXY": "127.0.0.1,localhost"} | environment, capture_output=True, text=True,
    )  # fmt: skip


def run(script: str, *arguments: str, folder: Path, **environment: str) -> str:
    """What an example prints that ends well."""
    done = start(script, *arguments, folder=folder, **environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_client_and_the_library_say_what_the_server_answers(
    server: RunningServer, client: httpx.Client, tmp_path: Path
) -> None:
    weights = PROJECT / "model_store" / "zfnet.safetensors"
    lines = run("client.py", str(SAMPLE), server.inference_url, folder=tmp_path).splitlines()
    without = run("library.py", str(SAMPLE), str(weights), folder=tmp_path).splitlines()
    asked = {"stride": "16", "features": "3", "images": "false"}
    answer = client.post("/explanations/zfnet", files={"data": SAMPLE.read_bytes()}, data=asked).json()
    worst = answer["occlusion"]["summary"]["worst"]
    expected = [f"{one['probability']:6.1%}  {one['label']}" for one in answer["predictions"]]
    expected.append(
        f"Under the square at pixel row {worst['top']}, column {worst['left']}, {answer['target']['label']} is at "
        f"{worst['probability']:.1%}: {100 * worst['drop']:.1f} points less."
    )
    assert lines[:6] == without[:6] == expected
    for feature, *pair in zip(answer["deconv"]["layers"][0]["features"], lines[6:], without[6:], strict=True):
        said = f"Map {feature['feature']} of layer 5 answers with {feature['activation']:.1f} "
        assert [line.startswith(said) for line in pair] == [True, True]


@pytest.mark.parametrize("script", ["client.py", "notebook.py"])
def test_a_refusal_is_told_in_the_servers_words(server: RunningServer, script: str, tmp_path: Path) -> None:
    letter = tmp_path / "letter.txt"
    letter.write_text("Dear Sir or Madam")
    environment = {"ZFNET_URL": server.inference_url, "ZFNET_PICTURE": str(letter), "MPLBACKEND": "agg"}
    refusal = httpx.post(f"{server.inference_url}/explanations/zfnet", files={"data": letter.read_bytes()}).json()
    done = start(script, str(letter), server.inference_url, folder=tmp_path, **environment)
    assert done.returncode == 1
    assert refusal["error"]["message"] in done.stderr.splitlines()[-1]


@pytest.mark.parametrize("body", [b'{"error": "who are you?"}', b"{torn", b"<html>sign in</html>", b"[]"])
def test_a_proxys_refusal_is_told_as_it_is(body: bytes, tmp_path: Path) -> None:
    with running_upstream() as upstream:
        upstream.reply = Reply(403, "application/json", body)
        done = start("client.py", str(SAMPLE), f"http://{upstream.address}", folder=tmp_path)
    assert done.returncode == 1
    assert done.stderr.strip() == f"http://{upstream.address} answers with status 403: {body.decode()}"


def test_the_notebook_draws_the_map_in_the_colours_of_its_scale(server: RunningServer, tmp_path: Path) -> None:
    environment = {"ZFNET_URL": server.inference_url, "ZFNET_PICTURE": str(SAMPLE), "MPLBACKEND": "agg"}
    assert run("notebook.py", folder=tmp_path, **environment).startswith("Under the square at pixel row ")
    with Image.open(tmp_path / "heatmap.png") as drawn:
        colours = {colour: pixels for pixels, colour in drawn.convert("RGB").getcolors(2**24) or ()}
    assert len(colours) > 1000, "the picture"
    assert colours[DEEPEST] > 100, "a cell of the largest drop, beside what the scale itself has"


def dashboard(address: str) -> str:
    """The page with the server's address written into it."""
    written = (EXAMPLES / "dashboard.html").read_text()
    assert written.count('SERVER = "http://localhost:8080"') == 1
    return written.replace("http://localhost:8080", address)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with running_chromium() as chromium:
        yield chromium


@pytest.fixture
def tab(server: RunningServer, browser: Browser) -> Iterator[Page]:
    """A tab for which a proxy serves the page and a picture beside the server."""
    opened = browser.new_page(base_url=server.inference_url)
    opened.set_default_timeout(TIMEOUT_MS)
    opened.route("**/dashboard.html", lambda route: route.fulfill(body=dashboard(""), content_type="text/html"))
    opened.route("**/photos/a%20dingo.jpg", lambda route: route.fulfill(path=SAMPLE))
    opened.route("**/photos/none.jpg", lambda route: route.fulfill(status=404))
    yield opened
    opened.close()


def wait_for_figure(tab: Page) -> None:
    """Return once the explanation is drawn, at the size a figure has."""
    tab.wait_for_function(
        "() => { const f = document.getElementById('figure'); return !f.hidden && f.naturalWidth > 600 }"
    )


def test_the_page_shows_the_figure_of_a_chosen_picture(tab: Page) -> None:
    tab.goto("/dashboard.html")
    tab.set_input_files("#file", SAMPLE)
    wait_for_figure(tab)
    assert tab.inner_text("#status") == ""


def test_the_page_says_why_there_is_no_figure(tab: Page) -> None:
    tab.goto("/dashboard.html")
    tab.set_input_files("#file", {"name": "letter.txt", "mimeType": "text/plain", "buffer": b"Dear Sir or Madam"})
    tab.wait_for_function("document.getElementById('status').textContent.startsWith('No explanation: ')")
    assert tab.is_hidden("#figure")
    tab.goto("/dashboard.html#picture=/photos/none.jpg")
    tab.wait_for_function("document.getElementById('status').textContent === 'There is no picture at /photos/none.jpg'")


def test_the_page_gives_the_gateway_its_token(tab: Page) -> None:
    def gateway(route: Route) -> None:
        if route.request.headers.get("authorization") == "Bearer sesame":
            route.continue_()
        else:
            route.fulfill(status=401, json={"error": {"code": "unauthenticated", "message": "send a token"}})

    tab.route("**/explanations/zfnet", gateway)
    tab.goto("/dashboard.html")
    tab.set_input_files("#file", SAMPLE)
    tab.wait_for_function("document.getElementById('status').textContent === 'No explanation: send a token'")
    assert tab.evaluate("document.activeElement.id") == "token"
    tab.keyboard.type("sesame")
    tab.keyboard.press("Enter")
    wait_for_figure(tab)
    assert "sesame" not in tab.url
    tab.reload()
    tab.set_input_files("#file", SAMPLE)
    wait_for_figure(tab)


def test_the_page_says_that_nothing_answers(tab: Page) -> None:
    tab.route("**/explanations/zfnet", lambda route: route.abort("connectionrefused"))
    tab.goto("/dashboard.html")
    tab.set_input_files("#file", SAMPLE)
    origin = tab.url.removesuffix("/dashboard.html")
    said = f"No explanation: nothing answers at {origin}, or it does not let pages of {origin} in"
    tab.wait_for_function("said => document.getElementById('status').textContent === said", arg=said)


def test_the_page_says_that_the_server_does_not_let_it_in(tab: Page, server: RunningServer, tmp_path: Path) -> None:
    """As a file, whose origin is `null`; the server has not been told to let it in."""
    file = tmp_path / "as-a-file.html"
    file.write_text(dashboard(server.inference_url))
    tab.goto(file.as_uri())
    tab.set_input_files("#file", SAMPLE)
    said = f"No explanation: nothing answers at {server.inference_url}, or it does not let pages of null in"
    tab.wait_for_function("said => document.getElementById('status').textContent === said", arg=said)


def test_the_data_link_opens_the_explanation_of_its_row(tab: Page) -> None:
    written = re.findall(r"```json\n(.+?)```", (EXAMPLES / "grafana-link.md").read_text(), re.DOTALL)
    [link] = json.loads(written[0])["links"]
    field = "${__data.fields.picture:percentencode}"
    assert field in link["url"]
    address = link["url"].replace(field, quote("/photos/a dingo.jpg", safe=""))
    tab.goto(address.removeprefix("https://dashboards.example.com"))
    wait_for_figure(tab)
