"""Tables and their sections in a page."""

import json
import re
from itertools import takewhile
from operator import attrgetter
from pathlib import Path

import pytest

from tests.room import room_for
from zfnet_explainer.studies.statistics import Estimate, interval, percent_interval
from zfnet_explainer.studies.tables import Table, percent, rewrite

PROJECT = Path(__file__).parents[2]
TABLE = Table("one", "One", ("a", "b"), (("1", "x|y"), ("2", "")), "A note.")
LINES = "| a | b |\n| --- | --- |\n| 1 | x\\|y |\n| 2 |  |\n\nA note.\n"


def test_markdown() -> None:
    assert TABLE.markdown() == LINES


def test_a_page_keeps_all_but_its_sections(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# Title\n<!-- table: one -->\nold\n<!-- end -->\nbetween \\1\n<!-- table: two -->\nkept\n<!-- end -->\n"
    )
    rewrite(page, [TABLE, Table("three", "Three", ("c",), ())])
    expected = (
        f"# Title\n<!-- table: one -->\n{LINES}<!-- end -->\nbetween \\1\n<!-- table: two -->\nkept\n<!-- end -->\n"
    )
    assert page.read_text() == expected
    link = tmp_path / "link.md"
    link.symlink_to(page.name)
    rewrite(link, [TABLE])
    assert page.read_text() == expected
    assert link.is_symlink()


def test_a_page_without_sections_is_left_alone(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("<!-- table: two -->\nkept\n<!-- end -->\n")
    with pytest.raises(ValueError, match="has no section <!-- table: NAME --> for any of one"):
        rewrite(page, [TABLE])
    assert "kept" in page.read_text()


def test_a_page_keeps_its_permissions(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("<!-- table: t -->\n<!-- end -->\n")
    page.chmod(0o640)
    rewrite(page, [Table("t", "T", ("a",), (("1",),))])
    assert "| 1 |" in page.read_text()
    assert page.stat().st_mode & 0o777 == 0o640


def test_a_page_that_there_is_no_room_for_is_left_as_it_was(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("<!-- table: one -->\nold\n<!-- end -->\n")
    with room_for(10), pytest.raises(OSError, match=r"page\.md"):
        rewrite(page, [TABLE])
    assert page.read_text() == "<!-- table: one -->\nold\n<!-- end -->\n"


def test_numbers() -> None:
    assert [percent(0.12345), percent(0.12345, 2), percent(1, 0), percent(None)] == ["12.3 %", "12.35 %", "100 %", "–"]
    assert interval(Estimate(0.1, -0.25, 0.5)) == "0.100 (-0.250 to 0.500)"
    assert percent_interval(Estimate(0.1, -0.25, 0.5)) == "10.0 % (-25.0 to 50.0)"


def table(page: Path) -> list[dict[str, str]]:
    """The first table of a page that has the column `squares`, row by row."""
    lines = page.read_text().split("\n")
    first = next(i for i, line in enumerate(lines) if "| squares |" in line)
    rows = takewhile(lambda line: line.startswith("|"), lines[first:])
    head, _, *body = ([cell.strip() for cell in row.strip("|").split("|")] for row in rows)
    return [dict(zip(head, cells, strict=True)) for cells in body]


def test_the_readmes_figures_are_those_of_the_page_that_the_bench_writes() -> None:
    measured = table(PROJECT / "docs" / "performance.md")
    shown = table(PROJECT / "README.md")
    assert len(shown) == 4
    for row in shown:
        assert any(row.items() <= one.items() for one in measured), row


@pytest.mark.parametrize(
    "page", [*(PROJECT / "docs").glob("*.md"), PROJECT / "model_store" / "README.md"], ids=attrgetter("name")
)
def test_every_table_of_a_published_page_has_rows_or_says_why_not(page: Path) -> None:
    sections = re.findall(r"<!-- table: (\S+) -->\n(.*?)<!-- end -->", page.read_text(), re.DOTALL)
    empty = [name for name, body in sections if body.count("\n|") < 2 and "Not measured" not in body]
    assert empty == []


def test_the_calibration_errors_of_readme_and_record_are_those_of_the_model_card() -> None:
    card = (PROJECT / "model_store" / "README.md").read_text()
    before, after = (float(error) for error in re.findall(r"\| [\d,]+ held out \|.*\| ([\d.]+) % \|", card))
    record = json.loads((PROJECT / "model_store" / "zfnet.json").read_text())["validation"]
    assert f"{100 * record['ece_with_temperature']:.2f}" == f"{after:.2f}", "of the record, too"
    assert f"| all | 1 | {100 * record['ece']:.2f} % |" in card
    assert f"| all | {record['temperature']:.3f} (as served) |" in card
    told = " ".join((PROJECT / "README.md").read_text().split())
    assert f"was not fitted to, is {after:.1f} %; without the temperature it is {before:.0f} %" in told
