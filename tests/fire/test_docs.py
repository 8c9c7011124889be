"""Every test that a page of the documentation names is there, and as many requests as it tells of."""

import ast
import re
from pathlib import Path

import pytest

from . import bad_pictures, corpus, messages, odd_pictures

PROJECT = Path(__file__).parents[2]
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")
PAGES = ("docs/security.md", "docs/faults.md")


@pytest.mark.parametrize("page", PAGES)
def test_every_test_that_is_named_exists(page: str) -> None:
    named = set(NAMED.findall((PROJECT / page).read_text()))
    assert len(named) >= 5
    for path, name in sorted(named):
        defined = {
            node.name for node in ast.parse((PROJECT / path).read_text()).body if isinstance(node, ast.FunctionDef)
        }
        assert name in defined, f"{path}::{name}"


def test_every_row_names_what_shows_it() -> None:
    for page in PAGES:
        rows = [line for line in (PROJECT / page).read_text().splitlines() if line.startswith("| ")]
        told = [row for row in rows if not re.match(r"\| (hole|abuse|fault) \|", row)]
        assert len(told) >= 5
        for row in told:
            assert NAMED.search(row) or "it is no test" in row, row


def test_as_many_are_sent_as_is_told() -> None:
    over_http = corpus.one_of_each_class() | corpus.HTTP
    alike = sum(case.alike for case in odd_pictures.CASES)
    told = " ".join((PROJECT / "docs/under-fire.md").read_text().split())
    for counted in (
        f" {len(corpus.READ):,} requests to a service",
        f" {len(over_http)} in all",
        f" {len(messages.RAW)} messages of bare bytes",
        f" {len(bad_pictures.NO_PICTURES)} kinds of files that are no pictures",
        f" {len(odd_pictures.CASES)} unusual but sound pictures; {alike} of them must get exactly the prediction",
    ):
        assert counted in told
