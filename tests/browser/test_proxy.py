"""The page behind a real nginx with the configuration of docs/proxy.md: TLS, under a path, in Chromium."""

import re
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import trustme
from playwright.sync_api import Browser, expect

from tests.needs import needs, program
from tests.samples import encoded, noise
from tests.waiting import PATIENCE_S, wait_for
from zfnet_explainer.torchserve.ports import free_ports

from .door import Door

pytestmark = needs("nginx")

RECIPE = Path(__file__).parents[2] / "docs" / "proxy.md"
# One process, of the user who runs the test, which leaves nothing outside its folder.
AROUND = """
daemon off;
master_process off;
pid nginx.pid;
events {{}}
http {{
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    {server}
}}
"""


@dataclass(frozen=True)
class Proxy:
    """Where it listens, and who trusts its certificate."""

    origin: str
    trust: ssl.SSLContext

    def predict(self, **headers: str) -> httpx.Response:
        """The answer to a picture that comes with these headers."""
        url = f"{self.origin}/zfnet/predictions/zfnet"
        files = {"data": encoded(noise())}
        return httpx.post(url, files=files, headers=headers, verify=self.trust, trust_env=False, timeout=PATIENCE_S)


@pytest.fixture
def proxy(door: Door, tmp_path: Path) -> Iterator[Proxy]:
    """The recipe's nginx in front of the door, its names, paths and ports the test's."""
    (port,) = free_ports(1)
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost")
    certificate.private_key_pem.write_to_path(tmp_path / "key.pem")
    certificate.cert_chain_pems[0].write_to_path(tmp_path / "certificate.pem")
    [server] = re.findall(r"```nginx\n(.*?)```", RECIPE.read_text(), re.DOTALL)
    for there, here in (
        ("listen 443 ssl", f"listen 127.0.0.1:{port} ssl"),
        ("server_name ml.example.com", "server_name localhost"),
        ("/etc/ssl/certs/ml.example.com.crt", "certificate.pem"),
        ("/etc/ssl/private/ml.example.com.key", "key.pem"),
        ("127.0.0.1:8080", f"127.0.0.1:{door.server_port}"),
    ):
        assert server.count(there) == 1
        server = server.replace(there, here)
    (tmp_path / "nginx.conf").write_text(AROUND.format(server=server))
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    with _running(tmp_path, port):
        yield Proxy(f"https://localhost:{port}", trust)


@contextmanager
def _running(folder: Path, port: int) -> Iterator[None]:
    line = [program("nginx"), "-p", str(folder), "-c", "nginx.conf", "-e", "error.log"]
    with subprocess.Popen(line) as process:

        def listens() -> bool:
            assert process.poll() is None, (folder / "error.log").read_text()
            try:
                return httpx.get(f"http://127.0.0.1:{port}", trust_env=False).status_code == 400  # it wants TLS
            except httpx.TransportError:
                return False

        try:
            wait_for(listens, "nginx does not listen")
            yield
        finally:
            process.terminate()


def test_the_page_loads_and_explains_under_the_path(browser: Browser, proxy: Proxy, door: Door) -> None:
    context = browser.new_context(ignore_https_errors=True)
    tab = context.new_page()
    tab.set_default_timeout(1000 * PATIENCE_S)
    asked: list[str] = []
    tab.on("request", lambda request: asked.append(request.url))
    tab.goto(f"{proxy.origin}/zfnet/explanations/zfnet")
    tab.locator("#options-details").evaluate("details => { details.open = true }")
    for name in ("window", "stride"):
        tab.fill(f"[name={name}]", "112")
    tab.set_input_files("#file", {"name": "noise.png", "mimeType": "image/png", "buffer": encoded(noise())})
    tab.locator("#take").wait_for()
    expect(tab.locator(".prediction")).to_have_count(5)
    expect(tab.locator("#curl")).to_contain_text(f"{proxy.origin}/zfnet/explanations/zfnet")
    context.close()
    assert {url for url in asked if not url.startswith(("data:", "blob:"))} == {
        f"{proxy.origin}/zfnet/{call}/zfnet" for call in ("predictions", "explanations")
    }
    assert door.asked == [{}, {"window": "112", "stride": "112"}]


def test_without_sec_fetch_site_the_hosts_decide(proxy: Proxy) -> None:
    assert proxy.predict().status_code == 200
    assert proxy.predict(Origin=proxy.origin).status_code == 200
    for origin in ("https://localhost", "https://evil.example"):
        refused = proxy.predict(**{"Origin": origin, "X-Forwarded-Host": origin.removeprefix("https://")})
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "forbidden_origin"), origin


def test_sec_fetch_site_comes_through(proxy: Proxy) -> None:
    own = {"Origin": proxy.origin}
    assert proxy.predict(**own, **{"Sec-Fetch-Site": "same-origin"}).status_code == 200
    assert proxy.predict(**own, **{"Sec-Fetch-Site": "same-site"}).status_code == 403
