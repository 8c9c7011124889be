"""What schemathesis cannot know from deploy/openapi.yaml: pictures, and which options go together."""

import base64
from typing import Any

import schemathesis
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode, HookContext

PICTURE = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAIAAABLbSncAAAAJUlEQVR42mM8UaHBgA0wMeAALBAq7EgFXGiVTQc+HaRLMJLsKgD8KAXhmmAhTwAAAABJRU5ErkJggg=="
)
# Sound, cut off, and no picture at all.
files = st.one_of(st.just(PICTURE), st.just(PICTURE[:60]), st.binary(min_size=1, max_size=64))
PREFIX = "x-explain-"

for media_type in ("image/*", "application/octet-stream"):
    schemathesis.openapi.media_type(media_type, files)


@schemathesis.hook
def filter_case(context: HookContext, case: Case) -> bool:
    """Leave out headers that nobody knows, which HTTP passes over and schemathesis takes for invalid."""
    del context
    return "x-schemathesis-unknown-property" not in case.headers


@schemathesis.hook
def before_call(context: HookContext, case: Case, kwargs: dict[str, Any]) -> None:
    """Settle what contradicts itself in a valid request: without this nearly every explanation is refused."""
    del context, kwargs
    if case.meta is None or case.meta.generation.mode is not GenerationMode.POSITIVE:
        return
    body = case.body if isinstance(case.body, dict) else {}
    inside = body.get("parameters") or {} if {"instances", "inputs"} & set(body) else body
    for name in [n for n in case.headers if n.lower().startswith(PREFIX)]:
        if option_of(name) in inside:  # an option is given once
            del case.headers[name]
    given = {option_of(n) for n in case.headers} | set(inside)
    if "feature" in given:
        leave_out(case, inside, "features", "layer")
    leave_out(case, inside, "methods", "precision", "window", "stride")
    if "explain" in case.path or "explanations" in case.path:
        case.headers["X-Explain-Window"], case.headers["X-Explain-Stride"] = "112", "56"  # quick also on a CPU


def option_of(header: str) -> str:
    """The option that a header carries."""
    return header.lower().removeprefix(PREFIX).replace("-", "_")


def leave_out(case: Case, inside: dict[str, Any], *options: str) -> None:
    """Take these options out of a request, wherever they are."""
    for option in options:
        inside.pop(option, None)
        for name in [n for n in case.headers if option_of(n) == option]:
            del case.headers[name]
