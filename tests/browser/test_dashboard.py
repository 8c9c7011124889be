"""The dashboard of the examples, where another picture is asked for while one is awaited."""

import json
from pathlib import Path

from playwright.sync_api import Page, Route, expect

from tests.browser.steps import settle
from tests.samples import encoded, noise

SITE = "http://dashboards.example.com"
DASHBOARD = Path(__file__).parents[2] / "examples" / "dashboard.html"
FIGURE = encoded(noise(30, 40))


def test_a_link_that_is_left_for_another_leaves_no_figure_of_its_own(tab: Page) -> None:
    """Nor does the last figure stand under an address that is still fetched."""
    held: list[Route] = []
    explained: list[bytes] = []

    def hold(route: Route) -> None:
        held.append(route)

    def explain(route: Route) -> None:
        explained.append(route.request.post_data_buffer or b"")
        route.fulfill(content_type="image/png", body=FIGURE)

    tab.route(f"{SITE}/dashboard.html", lambda route: route.fulfill(path=DASHBOARD))
    tab.route("**/explanations/zfnet", explain)
    tab.route(f"{SITE}/slow.jpg", hold)
    tab.route(f"{SITE}/none.jpg", lambda route: route.fulfill(status=404))
    tab.route(f"{SITE}/quick.jpg", lambda route: route.fulfill(body=b"quick"))
    figure, status = tab.locator("#figure"), tab.locator("#status")
    tab.goto(f"{SITE}/dashboard.html#picture=/quick.jpg")
    expect(figure).to_be_visible()
    for left_for in ("/quick.jpg", "/none.jpg"):
        with tab.expect_request("**/slow.jpg"):
            tab.evaluate("location.hash = 'picture=/slow.jpg'")
        expect(figure).to_be_hidden()
        expect(status).to_have_text("Fetching the picture …")
        tab.evaluate(f"location.hash = {json.dumps(f'picture={left_for}')}")
        if left_for == "/quick.jpg":
            expect(figure).to_be_visible()
        else:
            expect(status).to_have_text("There is no picture at /none.jpg")
    for route in held:
        with tab.expect_event("requestfinished"):
            route.fulfill(body=b"slow")
    settle(tab)
    expect(status).to_have_text("There is no picture at /none.jpg")
    assert [b"quick" in form for form in explained] == [True, True]
