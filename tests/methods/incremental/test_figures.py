"""The figures of docs/engine.md are those that the engine's numbers give now."""

import re
from pathlib import Path

import pytest
from tools.engine_figures import FIGURES, app, main
from typer.testing import CliRunner

DOCS = Path(__file__).parents[3] / "docs"


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("figures")
    main(folder)
    return folder


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_says_what_is_so(name: str, drawn: Path) -> None:
    """Numbers and words, in their order; how they are set is the drawing library's."""
    found, committed = (re.findall(r"<text[^>]*>([^<]+)", (at / f"{name}.svg").read_text()) for at in (drawn, DOCS))
    assert found
    assert found == committed


@pytest.mark.parametrize("name", FIGURES)
def test_the_page_shows_it(name: str) -> None:
    assert f"({name}.svg)" in (DOCS / "engine.md").read_text()


@pytest.mark.parametrize(
    ("arguments", "code", "words"), [(["--help"], 0, "figures of docs/engine.md"), ([], 2, "Missing argument")]
)
def test_the_tool_says_what_it_takes(arguments: list[str], code: int, words: str) -> None:
    result = CliRunner().invoke(app, arguments)
    assert (result.exit_code, words in result.output) == (code, True)
