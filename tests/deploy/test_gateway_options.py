"""Options in the query string, which TorchServe drops: the gateway makes headers of them."""

import httpx
import pytest

from zfnet_explainer.wire.options import EXPLAIN_OPTIONS

from ..document import SCHEMAS, check
from .conftest import Pools
from .gateway import EXPLAIN, refusal


def options_seen(pools: Pools) -> dict[str, str]:
    """The option headers of the one request that came through."""
    [seen] = pools["explain"].seen
    return {name: value for name, value in seen.headers.items() if name.startswith("x-explain-")}


def test_every_option_may_stand_in_the_query(pools: Pools, alice: httpx.Client) -> None:
    query = {name: f"value-{number}" for number, name in enumerate(EXPLAIN_OPTIONS)}
    assert alice.post(EXPLAIN, params=query, content=b"picture").status_code == 200
    assert options_seen(pools) == {f"x-explain-{name.replace('_', '-')}": value for name, value in query.items()}


@pytest.mark.parametrize(
    ("query", "headers"),
    [
        ("format=png&target=golden+retriever", {"x-explain-format": "png", "x-explain-target": "golden retriever"}),
        ("fill=%23a0B1c2", {"x-explain-fill": "#a0B1c2"}),
        ("layer=1%2C2,3", {"x-explain-layer": "1,2,3"}),
        ("target=a%26b%3Dc%25", {"x-explain-target": "a&b=c%"}),
        ("target=a=b", {"x-explain-target": "a=b"}),
        ("target=100%", {"x-explain-target": "100%"}),
        ("TOP-K=3&&", {"x-explain-top-k": "3"}),
        ("%74op%5Fk=3", {"x-explain-top-k": "3"}),
        ("images", {"x-explain-images": ""}),
        ("images=", {"x-explain-images": ""}),
        ("", {}),
        ("&", {}),
        ("no_such_option=1", {"x-explain-no-such-option": "1"}),
    ],
)
def test_as_browsers_write_them(pools: Pools, alice: httpx.Client, query: str, headers: dict[str, str]) -> None:
    assert alice.post(f"{EXPLAIN}?{query}", content=b"picture").status_code == 200
    assert options_seen(pools) == headers


def test_an_underscore_in_a_header_loses_no_option(pools: Pools, alice: httpx.Client) -> None:
    assert alice.post(EXPLAIN, content=b"picture", headers={"X-Explain-Top_K": "3"}).status_code == 200
    assert options_seen(pools) == {"x-explain-top_k": "3"}


@pytest.mark.parametrize(
    ("query", "headers", "option"),
    [
        ("window=8&window=8", [], "window"),
        ("top_k=1&Top-K=1", [], "top_k"),
        ("window=8", [("X-Explain-Window", "8")], "window"),
        ("top_k=1", [("X-Explain-Top_K", "1")], "top_k"),
        ("", [("X-Explain-Top-K", "1"), ("X-Explain-Top_K", "1")], "top_k"),
        ("", [("X-Explain-Layer", "1"), ("X-Explain-Layer", "2")], "layer"),
    ],
)
def test_one_that_is_given_twice_is_refused(
    pools: Pools, alice: httpx.Client, query: str, headers: list[tuple[str, str]], option: str
) -> None:
    error = refused(alice, query, headers)
    assert (error["option"], error["message"]) == (option, f"`{option}` is given twice")
    assert not pools["explain"].seen


@pytest.mark.parametrize(
    "query", ["target=%0d%0aHost:%20evil", "target=a%00", "target=%E7%8C%AB", "fill=%7F", "layer=%09"]
)
def test_what_no_header_can_carry_is_refused(pools: Pools, alice: httpx.Client, query: str) -> None:
    error = refused(alice, query)
    name = query.partition("=")[0]
    assert (error["option"], error["message"].split(":")[0]) == (name, f"`{name}` may be ASCII in the query")
    assert not pools["explain"].seen


@pytest.mark.parametrize("query", ["=1", "a%0d%0ab=1", "a%22b=1", "%C3%A9=1", "a:b=1", "a b=1", "[]=1"])
def test_what_is_no_options_name_is_refused(pools: Pools, alice: httpx.Client, query: str) -> None:
    assert refused(alice, query)["message"] == "the query takes options, such as ?format=png"
    assert not pools["explain"].seen


def refused(client: httpx.Client, query: str, headers: list[tuple[str, str]] | None = None) -> dict[str, str]:
    """The error of a request that goes no further, as the contract has it."""
    sent = [*(headers or []), ("X-Request-Id", "mine")]
    answer = client.post(f"{EXPLAIN}?{query}", content=b"picture", headers=sent)
    check(SCHEMAS["Error"], answer.json())
    error: dict[str, str] = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (400, "invalid_option")
    assert answer.headers["content-type"] == "application/json"
    assert error["request_id"] == answer.headers["x-request-id"] == "mine"
    return error


def test_more_headers_than_a_server_takes_are_refused(pools: Pools, alice: httpx.Client) -> None:
    """TorchServe would hang up in the middle of the body: 503, and another try."""
    for query, name in ((f"target={'x' * 8000}", "x-other"), ("", "x-explain-target"), ("", "x-other")):
        answer = alice.post(f"{EXPLAIN}?{query}", content=b"picture", headers={name: "x" * 8000})
        assert (answer.status_code, refusal(answer)["code"]) == (431, "malformed_body")
    assert not pools["explain"].seen
    assert alice.post(EXPLAIN, content=b"picture", headers={"Cookie": "x" * 9000}).status_code == 200
