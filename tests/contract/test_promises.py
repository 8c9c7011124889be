"""The contract keeps what it promised within a major version."""

import copy
import re
from pathlib import Path
from typing import Any

import pytest

from ..document import DOCUMENT
from .promises import complaint, promises, recorded, version

SMALL: dict[str, Any] = {
    "info": {"version": "1.2.0"},
    "paths": {
        "/ask": {
            "post": {
                "parameters": [
                    {"name": "size", "in": "query", "schema": {"enum": ["small", "large"]}},
                ],
                "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Question"}}}},
                "responses": {
                    "200": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Answer"}}}}
                },
            }
        }
    },
    "components": {
        "schemas": {
            "Question": {"type": "object", "required": ["text"], "properties": {"text": {}, "language": {}}},
            "Answer": {
                "type": "object",
                "required": ["words"],
                "properties": {
                    "words": {"type": "array", "items": {"type": "string"}},
                    "more": {"$ref": "#/components/schemas/Answer"},
                },
            },
        }
    },
}


def changed(path: str, value: object) -> dict[str, Any]:
    """The small document with one thing put elsewhere, or taken away where the value is None."""
    document = copy.deepcopy(SMALL)
    *way, last = path.split(" ")
    node: Any = document
    for key in way:
        node = node[int(key) if isinstance(node, list) else key]
    if value is None:
        del node[int(last) if isinstance(node, list) else last]
    else:
        node[last] = value
    return document


def test_the_document_keeps_its_promises_and_they_are_recorded() -> None:
    before, promised = recorded()
    assert complaint(DOCUMENT, before, promised) is None
    assert (version(DOCUMENT), promises(DOCUMENT)) == (before, promised), (
        "python -m tests.contract.promises records them"
    )


def test_the_changelog_names_the_contracts_version_and_no_other() -> None:
    changes = (Path(__file__).parents[2] / "CHANGELOG.md").read_text()
    named = [re.findall(r"HTTP contract is ([0-9.]*[0-9])", release) for release in changes.split("\n## ")]
    assert next(filter(None, named)) == [DOCUMENT["info"]["version"]]


ASK = "paths /ask post"


@pytest.mark.parametrize(
    ("path", "value", "lost"),
    [
        ("paths /ask", None, "POST /ask"),
        (f"{ASK} parameters 0", None, "POST /ask takes query size"),
        (f"{ASK} parameters 0 required", True, "POST /ask does not need query size"),
        (f"{ASK} parameters 0 schema enum", ["small"], "POST /ask takes query size = large"),
        (f"{ASK} responses 200", None, "POST /ask answers 200"),
        ("components schemas Question required", ["text", "language"], "Question (sent) without language"),
        ("components schemas Question properties language", None, "Question (sent).language"),
        ("components schemas Answer properties more", None, "Answer (answered).more: Answer"),
        ("components schemas Answer required", [], "Answer (answered) always has words"),
        (
            "components schemas Answer properties words items type",
            ["string", "null"],
            "Answer (answered).words[]: string",
        ),
    ],
)
def test_a_change_that_breaks_clients_needs_a_major_version(path: str, value: object, lost: str) -> None:
    document = changed(path, value)
    why = complaint(document, (1, 2, 0), promises(SMALL))
    assert why is not None
    assert "needs version 2.0.0" in why
    assert lost in why.splitlines()
    assert complaint(document | {"info": {"version": "2.0.0"}}, (1, 2, 0), promises(SMALL)) is None


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (f"{ASK} parameters 0 schema enum", ["small", "large", "huge"]),
        ("components schemas Question properties tone", {}),
        ("components schemas Answer properties tone", {"type": "string"}),
        (f"{ASK} responses 404", {}),
    ],
)
def test_what_is_added_needs_a_minor_version(path: str, value: object) -> None:
    document = changed(path, value)
    assert "needs version 1.3.0" in str(complaint(document, (1, 2, 0), promises(SMALL)))
    assert complaint(document | {"info": {"version": "1.3.0"}}, (1, 2, 0), promises(SMALL)) is None


def test_an_answer_may_always_have_what_it_had_sometimes() -> None:
    """And a request may leave out what it needed: both are promises that are added."""
    document = changed("components schemas Answer required", ["words", "more"])
    assert "needs version 1.3.0" in str(complaint(document, (1, 2, 0), promises(SMALL)))
