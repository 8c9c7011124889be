"""What a message shows of names and texts, however strange they are."""

import pytest

from zfnet_explainer.messages import from_right, number, shown


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("Screenshot 1.23.45\u202fPM.png", "Screenshot 1.23.45\u202fPM.png"),
        ("\u5199\u771f\u30001.jpg", "\u5199\u771f\u30001.jpg"),
        ("a\u00a0b", "a\u00a0b"),
        ("red \x1b[31m", r"red \x1b[31m"),
        ("two\nlines\u2028or more\t", r"two\nlines\u2028or more\t"),
        ("lone \udcff", r"lone \udcff"),
        ("gnp.\u202egpj", r"gnp.\u202egpj"),
    ],
)
def test_only_what_moves_or_turns_a_line_is_escaped(text: str, line: str) -> None:
    assert shown(text) == line


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.12345, "0.123"),
        (9.999, "10"),
        (999.4, "999"),
        (999.5, "1,000"),
        (123456, "123,000"),
        (-1234.5, "-1,230"),
    ],
)
def test_numbers_have_three_digits_at_most_that_count_and_no_exponent(value: float, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(("text", "so"), [("כלב", True), ("a كلب", True), ("犬 dog 1", False), ("", False)])
def test_scripts_that_run_from_right_to_left(text: str, so: bool) -> None:
    assert from_right(text) is so
