"""What a message shows of names and texts, however strange they are."""

import pytest

from zfnet_explainer.messages import shown


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
