"""Why this class and not another: in the page, from one explanation, without asking the server again."""

import json
import math
import re
from dataclasses import replace
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.door import Door, opened, serving
from tests.browser.steps import WIDE, class_of, explain, explained, set_options, settle
from tests.chains import seeded
from tests.narrow import zfnet
from tests.samples import MODEL_STORE
from tests.served import RECORD
from zfnet_explainer.net.checkpoint import Checkpoint
from zfnet_explainer.net.record import ClassName
from zfnet_explainer.pictures.display import CIVIDIS, CLASS_COLOURS, DIVERGING

# The centre of each of the 4 x 4 cells would be under the cross and the outline: a quarter into it is clear of both.
PLACES = [[56 * col + 14, 56 * row + 14] for row in range(4) for col in range(4)]


def colours(page: Page, canvas: str) -> list[list[int]]:
    """The colours of a map's cells, row by row."""
    settle(page)
    found: list[list[int]] = page.evaluate(
        "([id, places]) => { const c = document.getElementById(id), at = (p) => Math.floor(p / 224 * c.width);"
        " const drawn = c.getContext('2d');"
        " return places.map(([x, y]) => [...drawn.getImageData(at(x), at(y), 1, 1).data].slice(0, 3)) }",
        [canvas, PLACES],
    )
    return found


def flat(grid: list[list[float]]) -> list[float]:
    return [value for row in grid for value in row]


def log_odds(one: dict[str, Any], other: dict[str, Any]) -> tuple[float, list[float]]:
    """Of two classes: with nothing covered, and under every square."""
    pairs = zip(flat(one["probability"]), flat(other["probability"]), strict=True)
    return math.log(one["unoccluded"] / other["unoccluded"]), [math.log(p / q) for p, q in pairs]


def shade(share: float) -> int:
    return int(255 * share + 0.5)


def test_choosing_another_predicted_class_shows_its_map_at_once_without_a_request(page: Page, door: Door) -> None:
    found = explained(page)["occlusion"]
    asked = len(door.asked)
    for rank in (1, 4, 0):
        chosen = page.locator(".prediction").nth(rank)
        chosen.click()
        expect(chosen).to_have_attribute("aria-pressed", "true")
        expect(page.locator(".prediction[aria-pressed=true]")).to_have_count(1)
        expect(page.locator("#probability-title")).to_have_text(class_of(chosen))
        expect(page.locator("#class-explained")).to_contain_text(class_of(chosen))
        assert ("target=" in page.locator("#curl").inner_text()) == (rank > 0), "the first is explained anyway"
        grid = found["by_class"][rank]
        values = flat(grid["probability"])
        expect(page.locator("#occlusion-text")).to_contain_text(class_of(chosen))
        highest = max(*values, grid["unoccluded"])
        assert colours(page, "map-probability") == [CIVIDIS[shade(value / highest)].tolist() for value in values]
    assert len(door.asked) == asked


def test_the_square_stays_where_it_is_when_the_class_changes_and_the_change_is_told(page: Page) -> None:
    explain(page)
    page.focus("#map-probability")
    for key in ("PageDown", "Home"):
        page.keyboard.press(key)
    page.locator(".prediction").nth(1).press("Enter")
    expect(page.locator("#readout")).to_contain_text("rows 168–223, columns 0–55")
    expect(page.locator("#spoken")).to_contain_text(class_of(page.locator(".prediction").nth(1)))


def test_two_predicted_classes_are_compared_without_a_request(page: Page, door: Door) -> None:
    first, second, third = explained(page)["occlusion"]["by_class"][:3]
    asked = len(door.asked)
    expect(page.locator("#compare option")).to_have_count(4)
    expect(page.locator("#compare")).to_have_value(str(second["class_index"]))
    for other in (second, third):
        page.select_option("#compare", label=other["label"])
        expect(page.locator("#contrast-title")).to_have_text(f"{first['label']} against {other['label']}")
        unoccluded, values = log_odds(first, other)
        reach = max(abs(value - unoccluded) for value in values)
        wanted = [DIVERGING[shade((value - unoccluded + reach) / (2 * reach))].tolist() for value in values]
        shown = colours(page, "map-contrast")
        assert max(abs(a - b) for x, y in zip(shown, wanted, strict=True) for a, b in zip(x, y, strict=True)) <= 4, (
            "a step of the table apart at most, where rounding falls the other way"
        )
        taken = unoccluded - min(values)
        expect(page.locator("#contrast-text")).to_contain_text(
            f"{taken:.1f} nats from {first['label']} against {other['label']}"
        )
        page.click("#contrast-worst")
        expect(page.locator("#contrast-here")).to_have_text(
            f"Covering this square takes {taken:.1f} nats from {first['label']} against {other['label']}."
        )
        expect(page.locator("#spoken")).to_contain_text(f"Covering this square takes {taken:.1f} nats")
    assert len(door.asked) == asked
    expect(page.locator("#curl")).to_contain_text("contrast=")
    ends = page.locator("#contrast-scale .ends").last.locator("span")
    expect(ends).to_have_text([f"◀ {third['label']}", f"{first['label']} ▶"])
    page.select_option("[name=fill]", "black")
    page.click("#explain")
    expect(page.locator("#curl")).to_contain_text("-F fill=black")
    expect(page.locator("#contrast-title")).to_have_text(f"{first['label']} against {third['label']}")
    expect(page.locator("#curl")).to_contain_text("contrast=")
    assert door.asked[-1]["contrast"] == third["label"], "what was chosen holds for the same picture"
    page.fill("[name=target]", third["label"])
    expect(page.locator("[name=contrast]")).to_have_value("")
    page.fill("[name=target]", "")
    page.select_option("#compare", label=second["label"])
    with page.expect_response("**/explanations/zfnet"):
        page.set_input_files("#file", WIDE)
    expect(page.locator("[name=contrast]")).to_have_value("")
    assert "contrast" not in door.asked[-1], "and not for the next"


def test_what_is_compared_with_stays_when_the_picture_is_explained_again(page: Page, door: Door) -> None:
    """The class that stood there when another was explained, and one that is chosen while an answer is awaited."""
    first, second, third, fourth = explained(page)["occlusion"]["by_class"][:4]
    page.locator(".prediction").nth(2).click()
    expect(page.locator("#contrast-title")).to_have_text(f"{third['label']} against {second['label']}")
    page.select_option("[name=fill]", "black")
    page.click("#explain")
    expect(page.locator("#curl")).to_contain_text("-F fill=black")
    expect(page.locator("#contrast-title")).to_have_text(f"{third['label']} against {second['label']}")
    door.open.clear()
    page.select_option("[name=fill]", "white")
    page.click("#explain")
    expect(page.locator("#progress-text")).to_contain_text("Explaining")
    page.select_option("#compare", label=fourth["label"])
    door.open.set()
    expect(page.locator("#progress")).to_be_hidden()
    expect(page.locator("#contrast-title")).to_have_text(f"{third['label']} against {fourth['label']}")
    expect(page.locator("#curl")).to_contain_text("contrast=")
    door.open.clear()
    page.click("#explain")
    expect(page.locator("#progress-text")).to_contain_text("Explaining")
    page.locator(".prediction").nth(3).click()
    page.select_option("#compare", label=fourth["label"])
    door.open.set()
    expect(page.locator("#contrast-title")).to_have_text(f"{fourth['label']} against {first['label']}")
    expect(page.locator("#curl")).not_to_contain_text("contrast=")  # a class is not asked for against itself
    expect(page.locator("[name=contrast]")).to_have_value("")
    page.uncheck("[data-choices=methods] [value=occlusion]")
    page.click("#explain")
    expect(page.locator("#curl")).to_contain_text("methods=deconv")
    expect(page.locator("#curl")).not_to_contain_text("contrast=")  # the server would refuse it


def test_a_class_that_is_compared_with_and_then_explained_leaves_its_place(page: Page) -> None:
    """In the files to take along too."""
    first, second, third = explained(page)["occlusion"]["by_class"][:3]
    page.select_option("#compare", label=third["label"])
    page.locator(".prediction").nth(1).click()
    expect(page.locator("#contrast-title")).to_have_text(f"{second['label']} against {third['label']}")
    page.locator(".prediction").nth(2).click()
    expect(page.locator("#contrast-title")).to_have_text(f"{third['label']} against {first['label']}")
    with page.expect_download() as download:
        page.click("#downloads [value=json]")
    answer = json.loads(download.value.path().read_bytes())
    assert answer["target"]["label"] == third["label"]
    assert answer["occlusion"]["contrast"]["label"] == first["label"]


def test_the_readout_has_every_predicted_classs_probability_there(page: Page) -> None:
    found = explained(page)["occlusion"]["by_class"]
    page.focus("#map-contrast")
    for key in ("PageUp", "Home", "ArrowRight"):
        page.keyboard.press(key)
    expect(page.locator("#standings li")).to_have_count(5)
    for item, one in zip(page.locator("#standings li").all(), found, strict=True):
        there = one["probability"][0][1]
        expect(item).to_contain_text(one["label"])
        expect(item).to_contain_text(f"{100 * there:.1f} %")
        change = round(100 * (there - one["unoccluded"]), 1)
        expect(item).to_contain_text(f"{abs(change):.1f} points")
        track, bar, mark = (
            item.locator(selector).evaluate("e => e.getBoundingClientRect().toJSON()")
            for selector in (".bar", ".bar span", "i")
        )
        assert bar["width"] / track["width"] == pytest.approx(there, abs=0.01)
        middle = (mark["left"] + mark["right"]) / 2
        assert (middle - track["left"]) / track["width"] == pytest.approx(one["unoccluded"], abs=0.01)


def test_every_classs_bar_is_drawn_once_a_frame_however_far_the_pointer_moves(page: Page) -> None:
    found = explained(page)["occlusion"]["by_class"]
    settle(page)
    drawn = page.locator("#standings").evaluate(
        """async (list) => {
            let times = 0;
            new MutationObserver((seen) => (times += seen.length)).observe(list, { childList: true });
            const map = document.getElementById("map-probability");
            const { left, top, width } = map.getBoundingClientRect();
            for (const share of [0.1, 0.3, 0.5, 0.7, 0.9]) {
                const at = { clientX: left + share * width, clientY: top + 5, isPrimary: true };
                map.dispatchEvent(new PointerEvent("pointermove", at));
            }
            await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
            return times;
        }"""
    )
    assert drawn == 1
    first = page.locator("#standings li").first
    expect(first).to_contain_text(f"{100 * found[0]['probability'][0][3]:.1f} %")


def test_of_many_classes_the_most_probable_are_listed_and_the_one_that_is_compared(tab: Page) -> None:
    classes = tuple(ClassName(f"n{index}", f"class {index}") for index in range(30))
    net = Checkpoint(seeded(zfnet(30, {}), 0), replace(RECORD, classes=classes))
    with opened(serving(net)) as door:
        tab.goto(door.url)
        explain(tab, top_k="22")
        listed = tab.locator("#standings li")
        expect(listed).to_have_count(20)
        expect(tab.locator("#standings-more")).to_have_text("2 more classes are in the JSON.")
        last = class_of(tab.locator(".prediction").nth(21))
        tab.select_option("#compare", label=last)
        expect(listed).to_have_count(21)
        expect(listed.last).to_contain_text(last)
        expect(tab.locator("#standings-more")).to_have_text("1 more class is in the JSON.")


def test_a_class_that_is_compared_with_and_then_chosen_is_compared_with_no_longer(page: Page, door: Door) -> None:
    """Nor asked for against itself, which the server would refuse."""
    second = explained(page)["predictions"][1]
    for said in (second["label"].upper(), second["synset"], str(second["class_index"])):
        page.fill("[name=target]", "")
        page.fill("[name=contrast]", said)
        page.locator(".prediction").nth(1).click()
        expect(page.locator("[name=contrast]")).to_have_value("")
        page.locator(".prediction").nth(0).click()
    page.fill("[name=contrast]", second["label"])
    page.locator(".prediction").nth(0).click()
    expect(page.locator("[name=contrast]")).to_have_value(second["label"])
    page.locator(".prediction").nth(1).click()
    page.click("#explain")
    expect(page.locator("#progress")).to_be_hidden()
    expect(page.locator("#error")).to_be_hidden()
    assert door.asked[-1]["target"] == second["label"]
    assert "contrast" not in door.asked[-1]


def test_a_class_that_is_not_predicted_is_compared_by_asking_for_it(page: Page) -> None:
    answer = explained(page, contrast="second", top_k="1")
    first, contrast = answer["target"], answer["occlusion"]["contrast"]
    assert contrast["class_index"] not in [p["class_index"] for p in answer["predictions"]]
    expect(page.locator("#contrast-title")).to_have_text(f"{first['label']} against {contrast['label']}")
    lowest = contrast["worst"]
    taken = contrast["unoccluded"] - lowest["log_odds"]
    expect(page.locator("#contrast-text")).to_contain_text(
        f"rows {lowest['top']}–{lowest['top'] + 55}, columns {lowest['left']}–{lowest['left'] + 55}: {taken:.1f} nats"
    )
    expect(page.locator("#standings li")).to_have_count(2)
    expect(page.locator("#standings li").last).to_contain_text("points")

    def without_digits(route: Route) -> None:
        found = route.fetch().json()
        found["occlusion"]["target_probability"][0][0] = found["occlusion"]["by_class"][0]["probability"][0][0] = 0
        route.fulfill(json=found)

    page.route("**/explanations/zfnet", without_digits)
    page.click("#explain")
    expect(page.locator("#standings li").last).to_have_text(f"{contrast['label']}not in this answer")
    expect(page.locator("#contrast-text")).to_contain_text(f"{taken:.1f} nats", use_inner_text=True)


def test_a_prediction_that_is_under_no_square_keeps_its_colour_in_the_legend(page: Page) -> None:
    set_options(page, window="224", stride="224", features="1")
    page.set_input_files("#file", MODEL_STORE / "samples" / "dingo.jpg")
    expect(page.locator("#legend li")).to_have_text(["dingo0", re.compile(r"[a-z]1$")])
    swatches = page.locator("#legend .swatch").evaluate_all("all => all.map(e => e.style.background)")
    assert swatches == [f"rgb{CLASS_COLOURS[0]}", f"rgb{CLASS_COLOURS[1]}"]
    drawn = "all => all.map(e => [getComputedStyle(e).backgroundColor, getComputedStyle(e).printColorAdjust])"
    page.emulate_media(forced_colors="active")
    shown = page.locator("#legend .swatch").evaluate_all(drawn)
    page.emulate_media(forced_colors="none")
    assert shown == [[swatch, "exact"] for swatch in swatches], "its colours are kept where others are replaced"
    expect(page.locator("#facts")).to_be_hidden()
    page.emulate_media(media="print")
    expect(page.locator("#facts")).to_be_visible()
    expect(page.locator("#curl")).to_have_css("white-space", "pre-wrap")


def test_a_class_alone_is_compared_with_nobody(page: Page) -> None:
    explain(page, top_k="1")
    expect(page.locator("#standings li")).to_have_count(1)
    expect(page.locator("#contrast")).to_be_hidden()


def test_how_to_read_a_contrast_is_said_where_there_is_one(page: Page) -> None:
    page.locator("#options-details").evaluate("details => { details.open = true }")
    page.uncheck("[value=occlusion]")
    page.fill("[name=features]", "1")
    page.click(".sample >> nth=0")
    page.locator("#take").wait_for()
    expect(page.locator("#contrast-note")).to_be_hidden()
    page.locator(".prediction").nth(1).click()
    expect(page.locator("#class-explained")).to_contain_text(class_of(page.locator(".prediction").nth(1)))


def test_an_accuracy_that_nobody_measured_is_said_to_be_that(page: Page) -> None:
    def unmeasured(route: Route) -> None:
        response = route.fetch()
        answer = response.json()
        answer["model"]["validation"] = None
        route.fulfill(response=response, body=json.dumps(answer))

    page.route("**/predictions/zfnet", unmeasured)
    page.route("**/explanations/zfnet", lambda route: unmeasured(route) if route.request.method == "POST" else None)
    explain(page)
    expect(page.locator("#model")).to_contain_text("accuracy not measured")
    expect(page.locator("#facts")).to_contain_text("accuracy not measured")
