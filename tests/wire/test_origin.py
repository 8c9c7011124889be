"""Whose pages may have a browser ask."""

import json

import pytest

from tests.samples import encoded, noise
from tests.served import sent, service
from zfnet_explainer.errors import ForbiddenOrigin
from zfnet_explainer.wire.origin import check_origin

HERE = "localhost:8080"


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
    ],
)
def test_its_own_page_and_no_page_at_all_may_ask(origin: str, host: str) -> None:
    check_origin(origin, host, "")


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "http://localhost",
        "http://localhost:8081",
        "http://localhost:8080.evil.example",
        "http://evil.example/localhost:8080",
        "http://evil@localhost:8080",
        "file://localhost:8080",
        "null",
        "http://[::1",
        "\ud800\0",
        "localhost:8080",
    ],
)
def test_other_pages_may_not(origin: str) -> None:
    with pytest.raises(ForbiddenOrigin) as caught:
        check_origin(origin, HERE, "https://dashboards.example.com")
    assert caught.value.message.isprintable()


@pytest.mark.parametrize("allowed", ["https://dashboards.example.com", "*"])
def test_but_the_one_that_is_allowed(allowed: str) -> None:
    check_origin("https://dashboards.example.com", HERE, allowed)


def test_a_page_that_may_not_ask_gets_no_answer() -> None:
    served = service()
    for explain in (False, True):
        request = sent({"body": encoded(noise())}, explain, Host=HERE, Origin="https://evil.example")
        [answer] = served.answer([request], ["id"])
        error = json.loads(answer.body)["error"]
        assert (answer.status, error["code"]) == (403, "forbidden_origin")
    served.allowed_origin = "https://evil.example"
    [answer] = served.answer([sent({"body": encoded(noise())}, False, origin="https://evil.example")], ["id"])
    assert answer.status == 200
