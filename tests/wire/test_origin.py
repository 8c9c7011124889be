"""Whose pages may have a browser ask."""

import json

import pytest

from tests.samples import encoded, noise
from tests.served import sent, service
from zfnet_explainer.errors import ForbiddenOrigin
from zfnet_explainer.wire.origin import check_origin, is_origin

HERE = "localhost:8080"
PUBLIC = "https://ml.example.com"
FRIEND = "https://dashboards.example.com"
Headers = dict[str, str]


def check(headers: Headers, allowed: str = "") -> None:
    """Check a request with these headers, named as browsers and proxies write them."""
    lower = {name.lower(): value for name, value in headers.items()}
    check_origin(lambda name: lower.get(name, ""), allowed)


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("", HERE),
        ("http://localhost:8080", HERE),
        ("https://localhost:8080", HERE),
        ("https://zfnet.example.com", "zfnet.example.com"),
        ("https://zfnet.example.com", "zfnet.example.com:443"),
        ("http://ZFNET.example.com", "zfnet.example.COM:80"),
        ("http://[::1]:8080", "[::1]:8080"),
        ("http://[::1]", "[::1]:80"),
        ("http://[::1]:8080", "[::1]"),
    ],
)
def test_its_own_page_and_no_page_at_all_may_ask(origin: str, host: str) -> None:
    check({"Origin": origin, "Host": host})


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "http://localhost",
        "http://localhost:8081",
        "http://localhost:8080.evil.example",
        "http://evil.example/localhost:8080",
        "http://evil@localhost:8080",
        "http://localhost:8080@evil.example",
        "http://localhost:8080/",
        "file://localhost:8080",
        "null",
        "http://[::1",
        "http://[::1]:8080",
        "http://:8080",
        "http://",
        "\ud800\0",
        "localhost:8080",
    ],
)
def test_other_pages_may_not(origin: str) -> None:
    with pytest.raises(ForbiddenOrigin) as caught:
        check({"Origin": origin, "Host": HERE}, FRIEND)
    assert caught.value.message.isprintable()


@pytest.mark.parametrize("allowed", [FRIEND, "*"])
@pytest.mark.parametrize("site", [{}, {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors"}])
def test_but_the_one_that_is_allowed(allowed: str, site: Headers) -> None:
    check({"Origin": FRIEND, "Host": HERE, **site}, allowed)


# What reaches the server from its own page at PUBLIC, behind a proxy.
BEHIND: dict[str, Headers] = {
    "nginx as it is": {"Origin": PUBLIC, "Host": HERE, "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors"},
    "nginx, Host $host": {"Origin": PUBLIC, "Host": "ml.example.com"},
    "nginx, Host $host, on another port": {"Origin": f"{PUBLIC}:8443", "Host": "ml.example.com"},
    "nginx, Host $http_host": {"Origin": f"{PUBLIC}:8443", "Host": "ml.example.com:8443"},
    "nginx, X-Forwarded-Host $host": {"Origin": f"{PUBLIC}:8443", "Host": HERE, "X-Forwarded-Host": "ml.example.com"},
    "Apache and Caddy": {"Origin": PUBLIC, "Host": HERE, "X-Forwarded-Host": "ml.example.com"},
    "two proxies": {"Origin": PUBLIC, "Host": HERE, "X-Forwarded-Host": "ml.example.com, inner.example:8080"},
    "an IPv6 address": {"Origin": "http://[2001:db8::1]:81", "Host": HERE, "X-Forwarded-Host": "[2001:DB8::1]:81"},
    "jupyter-server-proxy": {
        "Origin": PUBLIC,
        "Host": HERE,
        "X-Forwarded-Host": "ml.example.com",
        "X-Forwarded-Context": "/user/me/proxy/8080",
        "Sec-Fetch-Site": "same-origin",
    },
    "kubectl proxy": {
        "Origin": "http://127.0.0.1:8001",
        "Host": "10.1.0.7:8080",
        "X-Forwarded-Host": "192.0.2.1:6443",
        "Sec-Fetch-Site": "same-origin",
    },
    "an address that was typed": {"Host": HERE, "Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate"},
    "a link elsewhere that was followed": {"Host": HERE, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"},
}


@pytest.mark.parametrize("headers", BEHIND.values(), ids=BEHIND)
def test_its_page_may_ask_behind_a_proxy(headers: Headers) -> None:
    check(headers)


EVIL = "https://evil.example"
ATTACKS: dict[str, Headers] = {
    "a script": {"Origin": EVIL, "Host": HERE, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"},
    "a script whose origin a proxy dropped": {"Host": HERE, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"},
    "a form": {"Origin": EVIL, "Host": HERE, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"},
    "a form in a sandbox": {"Origin": "null", "Host": HERE, "Sec-Fetch-Site": "cross-site"},
    "a picture's address": {"Host": HERE, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"},
    "a neighbour": {"Origin": "https://a.example.com", "Host": "b.example.com", "Sec-Fetch-Site": "same-site"},
    "another port of this host": {
        "Origin": "https://ml.example.com:8443",
        "Host": "ml.example.com",
        "Sec-Fetch-Site": "same-site",
    },
    "the browser is asked, not the hosts": {"Origin": PUBLIC, "Host": "ml.example.com", "Sec-Fetch-Site": "cross-site"},
    "a word that no browser says": {"Origin": EVIL, "Host": HERE, "Sec-Fetch-Site": "Same-Origin, cross-site"},
    "a proxy that it brings itself": {"Origin": EVIL, "Host": HERE, "X-Forwarded-Host": "ml.example.com, evil.example"},
    "nobody's host": {"Origin": EVIL, "Host": "", "X-Forwarded-Host": ","},
}


@pytest.mark.parametrize("headers", ATTACKS.values(), ids=ATTACKS)
def test_no_other_page_has_it_explain(headers: Headers) -> None:
    with pytest.raises(ForbiddenOrigin):
        check(headers, FRIEND)


def test_a_page_that_may_not_ask_gets_no_answer() -> None:
    served = service()
    for explain in (False, True):
        request = sent({"body": encoded(noise())}, explain, Host=HERE, Origin=EVIL)
        [answer] = served.answer([request], ["id"])
        error = json.loads(answer.body)["error"]
        assert (answer.status, error["code"]) == (403, "forbidden_origin")
    served.allowed_origin = EVIL
    [answer] = served.answer([sent({"body": encoded(noise())}, False, origin=EVIL)], ["id"])
    assert answer.status == 200


@pytest.mark.parametrize(
    "text",
    [
        FRIEND, "http://localhost:3000", "https://a.example:80", "http://[2001:db8::1]:81", "http://192.0.2.1", "null",
        "chrome-extension://abcdefghijklmnop", "capacitor://localhost", "https://xn--exmple-cua.de",
    ],
)  # fmt: skip
def test_what_a_browser_may_send_is_an_origin(text: str) -> None:
    assert is_origin(text)


@pytest.mark.parametrize(
    "text",
    [
        "foo", "a.example", "https://a.example/", "https://a.example/x", "https://A.example", "https://a.example:443",
        "http://a.example:80", "https://u@a.example", "https://", "https://a.example ", "https://*.example.com",
        "https://ex\u00e4mple.de", "https://a.example?x", "https://a.example:08080", "NULL",
    ],
)  # fmt: skip
def test_what_no_browser_sends_is_none(text: str) -> None:
    assert not is_origin(text)
