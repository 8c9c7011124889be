"""The page as a file: complete, closed to the outside, and safe whatever a class is called."""

import base64
import hashlib
import html
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from http import HTTPStatus
from typing import Any

import pytest

from tests.samples import MODEL_STORE, encoded, noise
from tests.served import sent, service
from zfnet_explainer.net.record import ClassName
from zfnet_explainer.pictures.samples import load_samples
from zfnet_explainer.service.answer import Answer
from zfnet_explainer.service.service import Service
from zfnet_explainer.wire.options import EXPLAIN_OPTIONS
from zfnet_explainer.wire.page.page import option_table, page
from zfnet_explainer.wire.request import Incoming
from zfnet_explainer.wire.rules import Rules

RULES = Rules(
    (ClassName("n01", "tench"), ClassName("n02", "beagle")),
    (96, 256, 384, 384, 256),
    224,
    ("float32",),
    99,
    9,
    keeps_float32=True,
    max_others=9,
)
HOSTILE = "</script><img src=x onerror=alert(1)>"
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
VOID = {"meta", "link", "input", "br", "img"}


class Document(HTMLParser):
    """What a test asks about a page: its elements with their attributes, texts of style and script, nesting."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.inline: dict[str, list[str]] = {"style": [], "script": []}
        self.opened: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.opened.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.opened.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.opened and self.opened[-1] in self.inline:
            self.inline[self.opened[-1]].append(data)

    def values(self, attribute: str) -> list[str]:
        return [attributes[attribute] or "" for _, attributes in self.elements if attribute in attributes]

    @property
    def settings(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.inline["script"][0])
        return found


@pytest.fixture(scope="module")
def served() -> Service:
    return service()


def ask(served: Service, body: bytes, accept: str, explain: bool = True, kserve: bool = False) -> Answer:
    [answer] = served.answer([sent({"body": body}, explain, kserve, Accept=accept)], ["r"])
    return answer


def test_a_browser_that_sends_nothing_gets_the_page(served: Service) -> None:
    answer = ask(served, b"", BROWSER)
    assert answer.status == HTTPStatus.OK
    assert answer.content_type == "text/html; charset=utf-8"
    assert answer.body == page("zfnet", served.rules)


@pytest.mark.parametrize(
    ("body", "accept", "explain", "kserve"),
    [
        (b"", "", True, False),
        (b"", "*/*", True, False),
        (b"", "application/json, text/html;q=0.5", True, False),
        (b"", "text/html;q=0", True, False),
        (b"", BROWSER, False, False),
        (b"", BROWSER, True, True),
    ],
)
def test_everyone_else_who_sends_nothing_is_told_so(
    served: Service, body: bytes, accept: str, explain: bool, kserve: bool
) -> None:
    answer = ask(served, body, accept, explain, kserve)
    assert answer.status == HTTPStatus.BAD_REQUEST
    assert json.loads(answer.body)["error"]["code"] == "malformed_body"


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Explain-Window": "64"},
        {"x-explain-format": "html"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"content-type": "image/jpeg"},
    ],
)
def test_an_empty_picture_is_no_browser(served: Service, headers: dict[str, str]) -> None:
    """A length of 0 says nothing: TorchServe gives one to a browser's request too."""
    as_browser = {"Accept": BROWSER, "content-length": "0"}
    [page_, refused] = served.answer(
        [Incoming({"body": b""}, more, explain=True, kserve=False) for more in (as_browser, as_browser | headers)],
        ["one", "two"],
    )
    assert (page_.status, refused.status) == (HTTPStatus.OK, HTTPStatus.BAD_REQUEST)
    assert json.loads(refused.body)["error"]["message"].startswith("the picture is empty")


def test_a_browser_that_sends_a_picture_does_not_get_the_page(served: Service) -> None:
    answer = ask(served, encoded(noise())[:50], BROWSER)
    assert answer.status == HTTPStatus.UNPROCESSABLE_ENTITY


def test_is_well_formed_and_every_reference_inside_it_leads_somewhere() -> None:
    document = Document(page("zfnet", RULES).decode())
    assert document.opened == []
    ids = document.values("id")
    assert len(ids) == len(set(ids))
    pointed = [name for a in ("aria-labelledby", "aria-describedby", "list", "form") for name in document.values(a)]
    assert set(pointed) <= set(ids)
    used = set(re.findall(r'\$\("([a-z-]+)"\)', document.inline["script"][1]))
    assert used <= set(ids)


def test_refers_to_nothing_outside_itself() -> None:
    text = page("zfnet", RULES).decode()
    document = Document(text)
    assert all(value.startswith("data:") for a in ("src", "href") for value in document.values(a))
    addresses = set(re.findall(r"https?://[\w.:/]+\w", text))
    assert addresses == {"http://www.w3.org/2000/svg", "http://localhost:8080"}, "a namespace and an example"
    assert not re.search(r"url\(|@import", document.inline["style"][0])
    assert not re.search(r"\bimport\b", document.inline["script"][1])


def test_the_policy_allows_this_style_and_script_alone() -> None:
    document = Document(page("zfnet", RULES).decode())
    [policy] = [a["content"] or "" for tag, a in document.elements if tag == "meta" and "http-equiv" in a]
    for kind, inline in (("style", document.inline["style"][0]), ("script", document.inline["script"][1])):
        digest = base64.b64encode(hashlib.sha256(inline.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}';" in policy
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    assert not [name for _, attributes in document.elements for name in attributes if name.startswith("on")]
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", document.inline["script"][1])


def test_names_are_data_whatever_they_hold() -> None:
    rules = replace(RULES, classes=(ClassName("n01", HOSTILE), *RULES.classes))
    text = page(HOSTILE, rules).decode()
    assert HOSTILE not in text
    document = Document(text)
    assert document.settings["classes"][0]["label"] == HOSTILE
    assert f"<title>{html.escape(HOSTILE)}: explain a picture</title>" in text


def test_samples_are_data_with_their_terms_and_the_page_stays_of_a_sane_size() -> None:
    samples = load_samples(MODEL_STORE)
    hostile = replace(samples[0], title=HOSTILE, credit=HOSTILE)
    content = page("zfnet", RULES, (hostile, *samples[1:]))
    assert HOSTILE not in content.decode()
    offered = Document(content.decode()).settings["samples"]
    assert [base64.b64decode(one["jpeg"]) for one in offered] == [sample.jpeg for sample in samples]
    assert [one["file"] for one in offered] == ["dog.jpg", "dingo.jpg", "church.jpg", "garbage-truck.jpg"]
    assert [one["title"] for one in offered] == [HOSTILE, *(sample.title for sample in samples[1:])]
    assert [one["licence"] for one in offered] == [sample.licence for sample in samples]
    assert len(content) < 200_000
    assert Document(page("zfnet", RULES).decode()).settings["samples"] == []


def test_every_option_has_a_control_with_its_default() -> None:
    document = Document(page("zfnet", RULES).decode())
    table = document.settings["options"]
    assert set(table) == set(EXPLAIN_OPTIONS)
    assert set(EXPLAIN_OPTIONS) <= {*document.values("name"), *document.values("data-choices")}
    assert set(document.values("value")) >= {"json", "png", "npz", "html"}
    assert (table["window"], table["stride"]["default"]) == ({"default": "32", "low": 1, "high": 224}, "8")
    assert table["top_k"] == {"default": "2", "low": 1, "high": 2}
    assert table["layer"] == {"default": "5", "choices": ["1", "2", "3", "4", "5"]}


def test_a_server_whose_bound_is_below_the_default_has_a_page() -> None:
    assert option_table(replace(RULES, max_squares=1))["stride"]["default"] == "8"
