"""The report: what a ticket needs is in it, it stands alone, and nothing in it is markup that was not meant."""

import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from http import HTTPStatus
from typing import Any

import pytest
import torch

from tests.pictures.drawing.figures import kept
from tests.samples import encoded, noise
from tests.served import RECORD, SMALL, checkpoint, sent, service
from zfnet_explainer.explainer import Explainer
from zfnet_explainer.explanation import FloatArray, Occlusion
from zfnet_explainer.net.checkpoint import Checkpoint
from zfnet_explainer.net.record import ClassName
from zfnet_explainer.options import Options
from zfnet_explainer.service.service import Service
from zfnet_explainer.service.settings import Limits
from zfnet_explainer.wire.report import report as write

HOSTILE = "<script>alert('x')</script> & \"co\""
PNG = encoded(noise(300, 400))
VOID = {"meta", "link", "img"}
OPTIONS = Options(features=2, window=112, stride=112, crosscheck=True)


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


@pytest.fixture(autouse=True)
def _no_figures(whole: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole report alone has its figure."""
    assert whole
    kept(monkeypatch)


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
        "50.0 % right on 10 pictures of its classes",
        "cpu",
        "400 × 300 pixels",
        "top 0, left 50, 300 × 300 pixels",
        "Largest drop",
        "Worst position",
        "Highest probability",
        "The prediction changes",
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
    assert "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; &amp; &#34;co&#34; 1" in whole


def test_says_when_it_was_made(served: Service) -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    text = report(served, format="html", methods="deconv", features="1")
    written = re.findall(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", text)
    assert len(written) == 2, "under the title, and with the request"
    made = {datetime.strptime(moment, "%Y-%m-%d %H:%M:%S %Z").replace(tzinfo=UTC) for moment in written}
    assert all(before <= moment <= datetime.now(UTC) for moment in made)


def test_predictions_are_a_short_table_and_details_are_folded(whole: str) -> None:
    head, body = whole.partition("<tbody>")[::2]
    assert re.findall('<th scope="col">(.+?)</th>', head) == ["Rank", "Class", "Probability"]
    assert len(re.findall("<td>", body.partition("</tbody>")[0])) == 3 * len(RECORD.classes)
    folded = re.findall("<summary><h2>(.+?)</h2></summary>", whole)
    assert folded == [
        "Their synsets and indices",
        "Most probable classes under the square",
        "Projected maps",
        "Options",
        "Conventions",
        "Model and request",
    ]
    assert "<details open" not in whole


def answer_of(trained: Service, **options: str) -> dict[str, Any]:
    """The JSON answer that the report of these options is written from."""
    [answer] = trained.answer([sent({"data": PNG, "images": "false", **options}, explain=True)], ["id"])
    found: dict[str, Any] = json.loads(answer.body)
    return found


def test_the_figure_is_described_by_what_was_found() -> None:
    trained = service()
    answer = answer_of(trained, **SMALL)
    first, worst = answer["predictions"][0], answer["occlusion"]["summary"]["worst"]
    [layer] = answer["deconv"]["layers"]
    found = (
        f"Figure: {first['label']}, {100 * first['probability']:.1f} %. "
        f"The probability of {first['label']} is lowest, {100 * worst['probability']:.1f} %, "
        f"under the 112-pixel square at top {worst['top']}, left {worst['left']}. "
        f"Projection of layer 5, map {layer['features'][0]['feature']}."
    )
    assert f'<img alt="{found}"' in report(trained, format="html", **SMALL)


def test_of_maps_in_any_order_the_strongest_is_described_which_the_figure_shows_large() -> None:
    answer = answer_of(service(), methods="deconv", features="2")
    [layer] = answer["deconv"]["layers"]
    strongest = layer["features"][0]["feature"]
    layer["features"].reverse()
    text = write(answer, OPTIONS, b"figure", RECORD.classes).decode()
    assert f"Projection of layer 5, map {strongest}." in text


def test_a_cross_check_that_fails_is_told_before_the_figure() -> None:
    answer = answer_of(service(), crosscheck="captum", **SMALL)
    assert 'class="alert"' not in write(answer, OPTIONS, b"figure", RECORD.classes).decode()
    answer["crosscheck"]["occlusion"] = {"max_relative_difference": 0.123, "agrees": False}
    text = write(answer, OPTIONS, b"figure", RECORD.classes).decode()
    said = (
        "The cross-check failed: do not rely on this explanation "
        "(the occlusion maps differ from captum&#39;s by up to 1.2e-01 of the largest value)."
    )
    assert f'<p class="alert">{said}</p>' in text.partition("<img")[0]
    answer["crosscheck"]["occlusion"]["agrees"] = None
    text = write(answer, OPTIONS, b"figure", RECORD.classes).decode()
    assert 'class="alert"' not in text
    assert "are rounded and need not agree, largest difference 1.2e-01" in text


def test_comes_by_the_accept_header_too(served: Service) -> None:
    assert "<!doctype html>" in report(served, "text/html,*/*;q=0.8", methods="occlusion", window="112", stride="112")


def test_says_nothing_of_a_method_that_was_not_asked_for(served: Service) -> None:
    text = report(served, format="html", methods="deconv", layer="1,2", features="1")
    assert "Projected maps" in text
    assert "Occlusion" not in text
    assert '<th scope="row">window</th>' not in text


def test_a_field_is_told_by_its_first_and_last_pixels(served: Service) -> None:
    text = report(served, format="html", methods="deconv", layer="5", features="9")
    rows = [tuple(map(int, found)) for found in re.findall(r"rows (\d+) to (\d+), columns (\d+) to (\d+)", text)]
    size = served.explainer.record.preprocessing.size
    assert len(rows) == 9
    assert max(max(bottom, right) for _, bottom, _, right in rows) == size - 1, "a field of layer 5 reaches the border"
    assert all(0 <= top < bottom < size and 0 <= left < right < size for top, bottom, left, right in rows)


def test_maps_that_were_named_stand_in_place_of_a_number(served: Service) -> None:
    text = report(served, format="html", methods="deconv", feature="7,3")
    assert '<th scope="row">feature</th><td>7,3</td>' in text
    assert '<th scope="row">features</th>' not in text


@pytest.mark.parametrize("target", range(3))
def test_the_title_is_the_prediction_and_the_class_that_is_explained(target: int) -> None:
    trained = service()
    incoming = sent({"data": PNG, "methods": "deconv", "features": "1", "target": str(target)}, explain=True)
    [found] = trained.answer([incoming], ["id"])
    answer = json.loads(found.body)
    first = answer["predictions"][0]
    expected = f"{first['label']}, {100 * first['probability']:.1f} %"
    if answer["target"]["class_index"] != first["class_index"]:
        expected += f"; explained: {answer['target']['label']}, {100 * answer['target']['probability']:.1f} %"
    assert f"<h1>{expected}</h1>" in report(trained, format="html", methods="deconv", features="1", target=str(target))


def test_a_contrast_is_told_in_numbers_and_to_who_does_not_see_the_figure() -> None:
    trained = service()
    answer = answer_of(trained, contrast="second", **SMALL)
    target, other = answer["target"], answer["occlusion"]["contrast"]
    text = report(trained, format="html", contrast="second", **SMALL)
    worst = other["worst"]
    assert f"<h2>Why {target['label']} and not {other['label']}</h2>" in text
    assert f"<td>{other['unoccluded']:.2f} nats</td>" in text
    assert f"<td>{worst['log_odds']:.2f} nats, at top {worst['top']}, left {worst['left']}</td>" in text
    [said] = re.findall('<img alt="(.*?)"', text)
    assert f"Against {other['label']} its log odds, {other['unoccluded']:.2f} nats, are lowest" in said
    assert '<th scope="row">contrast</th><td>second</td>' in text
    assert len(re.findall('<th scope="row">Evaluation</th><td>float32, exact</td>', text)) == 2
    answer["occlusion"] |= {"precision": "bfloat16", "max_deviation": 0.003}
    other["max_deviation"] = 0.021
    told = re.findall(
        '<th scope="row">Evaluation</th><td>(.+?)</td>', write(answer, OPTIONS, b"figure", RECORD.classes).decode()
    )
    assert told == [f"bfloat16, at most {off} from float32 where compared" for off in ("3.0e-03", "2.1e-02 nats")]
    assert "and not" not in report(trained, format="html", **SMALL)


def test_only_nothing_and_all_are_told_as_that_and_no_zero_has_a_sign() -> None:
    answer = answer_of(service(), contrast="second", **SMALL)
    found = answer["occlusion"]
    answer["predictions"][0]["probability"] = answer["target"]["probability"] = 0.9996
    found["unoccluded"], found["summary"]["flipped_share"] = 1.0, 0.0
    found["summary"]["worst"] |= {"probability": 0.0004, "drop": -0.0004}
    found["contrast"] |= {"unoccluded": -0.001}
    found["contrast"]["worst"]["log_odds"] = -0.002
    text = write(answer, OPTIONS, b"figure", RECORD.classes).decode()
    assert f"<h1>{answer['target']['label']}, &gt;99.9 %</h1>" in text
    told = dict(re.findall('<tr><th scope="row">(.+?)</th><td>(.+?)</td></tr>', text))
    assert told["Probability, nothing covered"] == "100.0 %"
    assert told["Lowest probability"] == "&lt;0.1 %"
    assert told["The prediction changes"] == "at 0.0 % of the positions"
    assert told["Largest drop"] == "0.0 points"
    assert told["Log odds, nothing covered"] == "0.00 nats"
    assert told["Lowest log odds"].startswith("0.00 nats")
    assert "-0.0" not in text


def test_no_grid_is_made_that_the_report_does_not_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    probability = Occlusion.probability

    def noted(occlusion: Occlusion, class_index: int) -> FloatArray:
        asked.append(class_index)
        return probability(occlusion, class_index)

    monkeypatch.setattr(Occlusion, "probability", noted)
    report(service(), format="html", target="1", methods="occlusion", window="112", stride="112")
    assert set(asked) == {1}, "the target's alone"


def test_an_accuracy_that_nobody_measured_is_said_to_be_that() -> None:
    answer = answer_of(service(), **SMALL)
    answer["model"]["validation"] = None
    assert (
        '<th scope="row">Validation</th><td>accuracy not measured</td>'
        in write(answer, OPTIONS, b"figure", RECORD.classes).decode()
    )


def test_classes_that_share_a_label_are_told_apart() -> None:
    trained = checkpoint()
    classes = tuple(ClassName(name.synset, "crane") for name in RECORD.classes)
    cranes = Service(
        Explainer(Checkpoint(trained.chain, replace(trained.record, classes=classes)), torch.device("cpu")),
        "zfnet",
        "1.2.3",
        Limits(),
    )
    answer = answer_of(cranes, contrast="second", **SMALL)
    first, second = (f"crane ({one['synset']})" for one in answer["predictions"][:2])
    text = report(cranes, format="html", contrast="second", **SMALL)
    assert f"<h1>{first}, " in text
    assert f"The probability of {first} is lowest" in text
    assert f"Against {second} its log odds" in text
    assert f"<h2>Why {first} and not {second}</h2>" in text
    assert f"<td>{first}</td>" in text.partition("</table>")[0]
    assert f"<td>{second}, synset " in text
    assert not re.search(r"crane(?! \(n)", text)


def test_a_label_from_right_to_left_leaves_the_numbers_behind_it_where_they_are() -> None:
    trained = service()
    answer = answer_of(trained, **SMALL)
    said = f"{100 * answer['target']['probability']:.1f} %"
    for one in (answer["target"], *answer["predictions"]):
        one["label"] = "כלב"
    text = write(answer, OPTIONS, b"figure", trained.explainer.record.classes).decode()
    assert f"<h1>\u2068כלב\u2069, {said}</h1>" in text
    assert "\u2068" not in report(trained, format="html", **SMALL)


def test_large_numbers_have_no_exponent() -> None:
    answer = answer_of(service(), **SMALL)
    answer["occlusion"]["feature"]["unoccluded"] = 123_456.0
    answer["deconv"]["layers"][0]["features"][0]["activation"] = 98_765.0
    text = write(answer, OPTIONS, b"figure", RECORD.classes).decode()
    assert "<td>123,000</td>" in text
    assert "<td>98,800</td>" in text
