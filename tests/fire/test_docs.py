"""Every test that a page of the documentation names is there."""

import ast
import re
from pathlib import Path

import pytest

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
