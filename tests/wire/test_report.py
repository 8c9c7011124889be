"""The report: what a ticket needs is in it, it stands alone, and nothing in it is markup that was not meant."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from http import HTTPStatus

import pytest
import torch

from tests.pictures import encoded, noise
from tests.served import RECORD, SMALL, checkpoint, sent
from zfnet_explainer.explainer import Explainer
from zfnet_explainer.net.checkpoint import Checkpoint, ClassName
from zfnet_explainer.wire.service import Limits, Service

HOSTILE = "<script>alert('x')</script> & \"co\""
PNG = encoded(noise(300, 400))
VOID = {"meta", "link", "img"}


@pytest.fixture(scope="module")
def served() -> Service:
    """A service whose classes all have a label that would run, were it not escaped."""
    classes = tuple(ClassName(name.synset, f"{HOSTILE} {i}") for i, name in enumerate(RECORD.classes))
    trained = checkpoint()
    hostile = Checkpoint(trained.chain, replace(trained.record, classes=classes))
    return Service(Explainer(hostile, torch.device("cpu")), "zfnet", "1.2.3", Limits())


def report(served: Service, accept: str = "", **options: str) -> str:
    incoming = sent({"data": PNG, **options}, explain=True, Accept=accept)
    [answer] = served.answer([incoming], ["request-17"])
    assert answer.status == HTTPStatus.OK, answer.body
    assert answer.content_type == "text/html; charset=utf-8"
    return answer.body.decode()


@pytest.fixture(scope="module")
def whole(served: Service) -> str:
    return report(served, format="html", fill="#12ab34", crosscheck="captum", target="1", **SMALL)


class Elements(HTMLParser):
    """The names of all elements, checked to be closed in the order they were opened."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.names: list[str] = []
        self.opened: list[str] = []
        self.feed(text)
        self.close()
        assert self.opened == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        del attrs
        self.names.append(tag)
        if tag not in VOID:
            self.opened.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.opened.pop() == tag


@pytest.mark.parametrize(
    "content",
    [
        "request-17",
        "zfnet 1.2.3",
        RECORD.weights_sha256,
        "50.0 % of 10 pictures right",
        "cpu",
        "400 × 300 pixels",
        "top 0, left 50, 300 × 300 pixels",
        "Largest drop",
        "Worst position",
        "Another class most probable",
        "#12ab34",
        "Cross-check with captum",
        "it is not evidence for the class",
        "passed through unchanged on the way down",
        "occlusion ",
    ],
)
def test_has_what_a_ticket_needs(whole: str, content: str) -> None:
    assert content in whole


def test_is_well_formed_and_stands_alone(whole: str) -> None:
    assert "script" not in Elements(whole).names
    references = re.findall(r'(?:src|href)="([^"]*)"', whole)
    assert references
    assert all(reference.startswith("data:") for reference in references)
    assert not re.search(r"https?://|url\(|@import", whole)


def test_labels_are_text(whole: str) -> None:
    assert HOSTILE not in whole
    assert "&lt;script&gt;alert(&#x27;x&#x27;)&lt;/script&gt; &amp; &quot;co&quot; 1" in whole


def test_comes_by_the_accept_header_too(served: Service) -> None:
    assert "Figure: the picture" in report(
        served, "text/html,*/*;q=0.8", methods="occlusion", window="112", stride="112"
    )


def test_says_nothing_of_a_method_that_was_not_asked_for(served: Service) -> None:
    text = report(served, format="html", methods="deconv", layer="1,2", features="1")
    assert "Projected maps" in text
    assert "Occlusion" not in text
    assert '<th scope="row">window</th>' not in text


def test_maps_that_were_named_stand_in_place_of_a_number(served: Service) -> None:
    text = report(served, format="html", methods="deconv", feature="7,3")
    assert '<th scope="row">feature</th><td>7,3</td>' in text
    assert '<th scope="row">features</th>' not in text
