"""Pages of other origins in Chromium, which ask the gateway with a token and every option as a header."""

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Error

from zfnet_explainer.wire.options import EXPLAIN_OPTIONS

from ..chromium import running_chromium
from ..needs import needs
from .conftest import Pools
from .gateway import EXPLAIN, Config, routes_of, running_gateway
from .upstream import Reply, running_upstream

pytestmark = [needs("envoy"), needs("chromium")]

ASK = """async ([url, headers]) => {
  const answer = await fetch(url, { method: "POST", body: "picture", headers });
  return [answer.status, answer.headers.get("x-request-id"), await answer.text()];
}"""
OPTIONS = {f"x-explain-{option.replace('_', '-')}": option for option in EXPLAIN_OPTIONS}


def test_a_listed_page_asks_with_its_token_and_options_and_no_other_does(pools: Pools, tmp_path: Path) -> None:
    with running_upstream() as site:
        site.reply = Reply(content_type="text/html", body=b"<!doctype html><title>dashboard</title>")
        listed, unlisted = (f"http://{site.address.replace('127.0.0.1', host)}" for host in ("127.0.0.1", "localhost"))

        def let_in(config: Config) -> None:
            host, _ = routes_of(config)
            host["typed_per_filter_config"]["cors"]["allow_origin_string_match"] = [{"exact": listed}]

        addresses = {name: [pool.address] for name, pool in pools.items()}
        with running_gateway(tmp_path, addresses, let_in) as gateway, running_chromium() as chromium:
            page = chromium.new_context(ignore_https_errors=True).new_page()
            headers = {"Authorization": f"Bearer {gateway.tokens['alice']}", "X-Request-Id": "mine", **OPTIONS}
            asked: list[Any] = [gateway.url + EXPLAIN, headers]
            page.goto(listed)
            assert page.evaluate(ASK, asked) == [200, "mine", "{}"]
            page.goto(unlisted)
            with pytest.raises(Error, match="Failed to fetch"):
                page.evaluate(ASK, asked)
    [seen] = pools["explain"].seen
    assert {name: value for name, value in seen.headers.items() if name.startswith("x-explain-")} == OPTIONS
    assert "sec-fetch-site" not in seen.headers, "the server would refuse what the gateway lets in"
