"""Which format an Accept header asks for."""

import reprlib

import pytest

from zfnet_explainer.wire.accept import accepted_format


@pytest.mark.parametrize(
    ("accept", "file_format"),
    [
        ("", "json"),
        ("*/*", "json"),
        ("image/png", "png"),
        ("image/*", "png"),
        ("text/*", "html"),
        ("image/*, text/*", "png"),
        ("text/*, image/*;q=0.9", "html"),
        ("text/*;q=0.5, application/json;q=0.4", "html"),
        ("application/*", "json"),
        ("image/*, */*;q=0.1", "png"),
        ("IMAGE/PNG ; q=0.5", "png"),
        ("text/html,application/xhtml+xml,*/*;q=0.8", "html"),
        ("application/json;q=0.1, application/x-npz;q=0.9", "npz"),
        ("image/jpeg", "json"),
        (",;,;q=,=,q", "json"),
    ],
)
def test_the_best_liked_of_the_formats(accept: str, file_format: str) -> None:
    assert accepted_format(accept) == file_format


@pytest.mark.parametrize(
    ("accept", "file_format"),
    [
        ("image/png;q=0, application/json", "json"),
        ("image/*, image/png;q=0", "json"),
        ("application/json;q=0, */*", "png"),
        ("*/*, application/json;q=0.2, text/html;q=0.3", "png"),
    ],
)
def test_what_says_most_of_a_format_counts(accept: str, file_format: str) -> None:
    assert accepted_format(accept) == file_format


@pytest.mark.parametrize(
    "quality",
    ["high", "nan", "inf", "-inf", "-1", "1.1", "1e400", "9" * 400, "", "\u0663"],
    ids=reprlib.repr,
)
def test_a_quality_that_is_none_wants_nothing(quality: str) -> None:
    assert accepted_format(f"image/png;q={quality}") == "json"
    assert accepted_format(f"image/png;q={quality}, text/html;q=0.1") == "html"
