"""Classes on the page: chosen, written, of any name."""

import re
from dataclasses import replace

from playwright.sync_api import Page, expect

from tests.browser.door import Door, opened, serving
from tests.browser.steps import WIDE, class_of, explain
from zfnet_explainer.net.checkpoint import Checkpoint
from zfnet_explainer.net.record import ClassName
from zfnet_explainer.service.service import Service

CONTENT = "all => all.map(e => getComputedStyle(e, '::after').content)"
HOSTILE = "<img src=x onerror='document.title=`run`'>"


def is_stale(page: Page) -> bool:
    """Whether the results are framed as others' than the options', under headings that say so, legible."""
    frames = page.locator(".card.result").evaluate_all("all => all.map(e => getComputedStyle(e).borderTopStyle)")
    said = page.locator(".result h2, p.result").evaluate_all(CONTENT)
    opacity = page.locator(".result, .result > *").evaluate_all("all => all.map(e => getComputedStyle(e).opacity)")
    assert set(opacity) == {"1"}
    assert set(frames) in ({"dashed"}, {"solid"})
    assert set(said) in ({'" · from the options before"'}, {"none"})
    assert (set(frames) == {"dashed"}) == (set(said) != {"none"})
    return set(frames) == {"dashed"}


def test_choosing_a_prediction_while_another_explanation_is_awaited_asks_for_that_class(page: Page, door: Door) -> None:
    """Until it is explained the results are marked, and after one explanation the time of the next is estimated."""
    explain(page)
    assert not is_stale(page)
    first, second = (page.locator(".prediction").nth(i) for i in range(2))
    door.open.clear()
    page.fill("[name=stride]", "28")
    page.click("#explain")
    expect(page.locator("#progress-text")).to_contain_text("Explaining: 49 squares")
    second.click()
    expect(page.locator("#progress-text")).to_have_text(
        re.compile(r"Explaining: 49 squares, 2 projections, about [\d.]+ s")
    )
    expect(page.locator("#bar")).to_have_attribute("value", re.compile(r"^0\.\d+"))
    assert is_stale(page)
    expect(first).to_have_attribute("aria-pressed", "true")
    expect(second).to_have_attribute("aria-pressed", "false")
    page.focus("#cancel")
    door.open.set()
    expect(page.locator("#probability-title")).to_have_text(class_of(second))
    expect(second).to_have_attribute("aria-pressed", "true")
    expect(first).to_have_attribute("aria-pressed", "false")
    expect(page.locator("#progress")).to_be_hidden()
    expect(page.locator("#explain")).to_be_focused()
    expect(page.locator("#curl")).to_contain_text("-F stride=28")
    assert not is_stale(page)
    assert door.asked[-1]["target"] == class_of(second)


def test_choosing_a_prediction_by_keyboard_keeps_the_focus_on_it(page: Page) -> None:
    explain(page, window="112", stride="112", features="1")
    second = page.locator(".prediction").nth(1)
    second.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#probability-title")).to_have_text(class_of(second))
    expect(second).to_be_focused()


def test_results_are_marked_beside_an_error_and_while_others_are_awaited(page: Page, door: Door) -> None:
    explain(page)
    marked = page.locator(".prediction[aria-pressed=true]")
    before = marked.inner_text()
    page.fill("[name=window]", "500")
    page.click("#explain")
    expect(page.get_by_role("alert")).to_contain_text("`window` must be")
    assert is_stale(page)
    expect(page.locator("#curl")).to_contain_text("window=56")
    assert marked.inner_text() == before, "the mark stands where the maps that are shown belong"
    second = page.locator(".prediction").nth(1)
    second.click()
    expect(page.locator("#error")).to_be_hidden()
    assert is_stale(page), "they are of another window than the one that is written"
    page.fill("[name=window]", "56")
    marked.click()
    assert not is_stale(page)
    page.fill("[name=window]", "112")
    page.click("#explain")
    expect(page.locator("#curl")).to_contain_text("window=112")
    assert not is_stale(page)
    door.open.clear()
    for window, others in (("112", False), ("56", True)):
        page.fill("[name=window]", window)
        page.click("#explain")
        assert is_stale(page)
        page.click("#cancel")
        expect(page.locator("#progress")).to_be_hidden()
        assert is_stale(page) == others, "marked where the options say something else by now"
    door.open.set()
    page.route("**/explanations/zfnet", lambda route: route.fulfill(status=503, body="{}"))
    for window, others in (("112", False), ("56", True)):
        page.fill("[name=window]", window)
        page.click("#explain")
        expect(page.get_by_role("alert")).to_be_visible()
        expect(page.locator("#progress")).to_be_hidden()
        assert is_stale(page) == others, "nor where it failed"


def test_a_class_that_was_clicked_is_the_pictures_and_one_that_was_written_the_persons(page: Page, door: Door) -> None:
    target, asked = page.locator("[name=target]"), page.locator("#asked")
    explain(page)
    expect(asked).to_be_hidden()
    first, second = (class_of(page.locator(".prediction").nth(i)) for i in range(2))
    told = f"Explained for {second}, the class that was asked for; the prediction is {first}."
    page.locator(".prediction").nth(1).click()
    expect(target).to_have_value(second)
    expect(asked).to_have_text(told)
    with page.expect_response("**/explanations/zfnet"):
        page.set_input_files("#file", WIDE)
    expect(asked).to_be_hidden()
    expect(target).to_have_value("")
    assert "target" not in door.asked[-1]
    page.locator(".prediction").nth(1).click()
    page.fill("[name=target]", second)
    with page.expect_response("**/explanations/zfnet"):
        page.set_input_files("#file", WIDE)
    expect(asked).to_have_text(told)
    assert door.asked[-1]["target"] == second
    page.locator(".prediction").nth(0).click()
    expect(target).to_have_value("")
    expect(asked).to_be_hidden()


def test_labels_never_become_markup(tab: Page, service: Service) -> None:
    explainer = service.explainer
    classes = tuple(ClassName(name.synset, f"{HOSTILE} {name.label}") for name in explainer.record.classes)
    with opened(serving(Checkpoint(explainer.chain, replace(explainer.record, classes=classes)))) as door:
        tab.goto(door.url)
        explain(tab, window="112", stride="112", features="1")
        expect(tab.locator("#probability-title")).to_contain_text(HOSTILE)
        assert tab.locator("img[src=x]").count() == 0
        assert tab.title() == "zfnet: explain a picture"


def test_classes_that_share_a_label_are_told_apart_by_what_is_no_index(tab: Page, service: Service) -> None:
    explainer = service.explainer
    last = len(service.rules.classes) - 1
    classes = tuple(ClassName(str(last - index), "dog") for index in range(last + 1))
    with opened(serving(Checkpoint(explainer.chain, replace(explainer.record, classes=classes)))) as door:
        tab.goto(door.url)
        explain(tab, window="112", stride="112", features="1")
        names = sorted(f"dog ({name.synset})" for name in classes)
        told = [class_of(prediction) for prediction in tab.locator(".prediction").all()]
        assert len(set(told)) == len(told) == 5
        assert set(told) <= set(names)
        expect(tab.locator("#contrast-title")).to_have_text(f"{told[0]} against {told[1]}")
        expect(tab.locator("#compare option")).to_have_text(told[1:])
        expect(tab.locator("#standings li")).to_have_text([re.compile(re.escape(name)) for name in told])
        expect(tab.locator("#class-explained")).to_contain_text(f"{told[0]}, ")
        second = tab.locator(".prediction").nth(1)
        second.click()
        expect(tab.locator("#asked")).to_contain_text(f"Explained for {told[1]}, ")
        expect(tab.locator("#asked")).to_contain_text(f"the prediction is {told[0]}.")
        expect(second).to_have_attribute("aria-pressed", "true")
        tab.click("#explain")
        expect(tab.locator("#progress")).to_be_hidden()
        assert door.asked[-1]["target"] == classes[int(second.get_attribute("value") or "")].synset
