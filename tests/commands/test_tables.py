"""Tables on a terminal: whole headings and cells, however narrow it is."""

from pathlib import Path
from unittest.mock import Mock

import pytest
import typer
from typer.testing import CliRunner

from zfnet_explainer.commands.main import app
from zfnet_explainer.commands.tables import put, show, shown_at_last
from zfnet_explainer.studies.speed.results import OCCLUSION
from zfnet_explainer.studies.tables import Table

CELLS = (
    "zfnet", "16/4", "bfloat16: 1.7 × float32", "2,809", "690.9 ms", "1,039", "18.7", "22.9 (16)", "15.2", "188 %",
    "1e-06", "3e-06", "1,137 MiB",
)  # fmt: skip
WIDE = Table("bench-occlusion", "Occlusion maps", OCCLUSION, (CELLS, ("vgg16", *CELLS[1:])), "On a processor.", keys=3)


def lines(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], width: int) -> list[str]:
    monkeypatch.setenv("COLUMNS", str(width))
    show([WIDE])
    return capsys.readouterr().out.splitlines()


def test_every_heading_is_whole_at_80_columns(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = lines(monkeypatch, capsys, 80)
    assert max(map(len, found)) <= 80
    words = [word for line in found for word in line.split()]
    assert not [word for word in words if "…" in word]
    for heading in OCCLUSION:
        for word in heading.split():
            assert word in words
    for net in ("zfnet", "vgg16"):
        rows = [line for line in found if line.startswith(net)]
        assert len(rows) > 1
        for row in rows:
            assert row.startswith(f"{net}  16/4           bfloat16: 1.7 × float32"), "each part says of what it is"
        for cell in CELLS[3:]:
            assert any(cell in row for row in rows)
    assert found[-1] == "On a processor."


def test_names_that_look_like_markup_are_shown_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    names = "cup [/mug]", "Katze [bold]", "[red]x[/red]", ":cat:"
    show([Table("t", names[0], ("class", names[1]), tuple((name, "1") for name in names), names[2])])
    title, _, *lines = (line.rstrip() for line in capsys.readouterr().out.splitlines())
    assert title == names[0]
    assert [line.removesuffix("1").rstrip() for line in lines[-5:-1]] == [*names]
    assert lines[-1] == names[2]


def test_what_was_measured_is_written_for_a_reader_that_has_gone_and_shown_where_the_disk_is_full(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with pytest.raises(OSError, match="full"), shown_at_last([WIDE]):
        raise OSError("full")
    assert "On a processor." in capsys.readouterr().out
    monkeypatch.setattr("zfnet_explainer.commands.tables.show", Mock(side_effect=SystemExit(1)))
    with pytest.raises(SystemExit), shown_at_last([WIDE]):
        (tmp_path / "numbers").write_text("kept")
    assert (tmp_path / "numbers").exists()


def test_a_page_without_the_section_costs_no_other(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pages = [tmp_path / name for name in ("bad.md", "good.md", "worse.md")]
    for page, name in zip(pages, ("no-such", WIDE.name, "none"), strict=True):
        page.write_text(f"<!-- table: {name} -->\n<!-- end -->\n")
    with pytest.raises(typer.Exit) as ended:
        put(pages, [WIDE])
    assert ended.value.exit_code == 1
    assert "690.9 ms" in pages[1].read_text()
    said = capsys.readouterr().err
    assert all(f"{page} has no section" in said for page in (pages[0], pages[2]))


def test_what_fits_stands_side_by_side(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    found = lines(monkeypatch, capsys, 200)
    assert sum(line.startswith("zfnet") for line in found) == 1


@pytest.mark.parametrize(
    ("content", "why"),
    [("Größe <!-- table: x -->\n<!-- end -->".encode("latin-1"), "is no page in UTF-8"), (b"", "has no section")],
)
def test_a_page_that_no_table_can_be_put_into_is_refused_before_any_work(
    tmp_path: Path, content: bytes, why: str
) -> None:
    page = tmp_path / "page.md"
    page.write_bytes(content)
    result = CliRunner().invoke(app, ["evaluate", str(tmp_path / "nowhere"), "--into", str(page)])
    assert result.exit_code == 2
    assert f"{page} {why}" in result.stderr
    assert page.read_bytes() == content
