"""What tests of `zfnet-explainer explain` share: a server's answers, what was written, and what was said."""

import hashlib
import json
from pathlib import Path

import pytest

from ...deploy.upstream import Reply

BROKEN = b"no picture"


def explained(form: bytes, weights: str = "ab" * 32) -> Reply:
    """A prediction, or an answer that differs by picture, or the refusal of a broken one."""
    if BROKEN in form:
        return Reply(415, body=b'{"error": {"code": "unsupported_image", "message": "no picture"}}')
    if not is_explanation(form):
        return Reply(body=json.dumps({"model": {"weights_sha256": weights}}).encode())
    picture = form.partition(b"\x89PNG")[2] or form.partition(b"\xff\xd8")[2]
    return Reply(200, "image/png", hashlib.sha256(picture.partition(b"\r\n--")[0]).digest())


def is_explanation(form: bytes) -> bool:
    """Its options have a format always; a prediction is asked for without options."""
    return b'name="format"' in form


def files(out: Path) -> dict[str, bytes]:
    """Content by path."""
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in out.rglob("*") if path.is_file()}


def said(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The lines on stderr, without the bar's."""
    return [line for line in capsys.readouterr().err.splitlines() if line.strip() and not line.startswith("explaining")]
