"""What is odd about HTTP itself: routes, methods, types, forms, headers, and bytes that are no request."""

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass

from zfnet_explainer.torchserve.archive import package_version

from .cases import BOUNDARY, EXPLAIN, PREDICT, SMALL, V1_PREDICT, Case, form

NO_MODEL, NO_ROUTE, NO_HTTP = "ModelNotFoundException", "ResourceNotFoundException", "BadRequestException"
B64 = base64.b64encode(SMALL).decode()
PLUSES = base64.b64encode(SMALL + b"\xfb\xef\xbe" * 9).decode()
# TorchServe takes a form that it cannot read for its own fault; the gateway makes 400 of it.
BAD_FORM = (500, "ErrorDataDecoderException")


@dataclass(frozen=True)
class Raw:
    """Bytes sent as they are, and the status of what comes back."""

    name: str
    sent: bytes
    status: int


def _routes() -> Iterator[Case]:
    for path, status, code in (
        ("/predictions/alexnet", 404, NO_MODEL),
        ("/predictions/..%2f..%2fetc%2fpasswd", 404, NO_MODEL),
        ("/predictions/%00", 404, NO_MODEL),
        ("/predictions/zfnet%20", 404, NO_MODEL),
        ("/predictions/ZFNET", 404, NO_MODEL),
        ("/predictions/zfnet/9.9", 404, "ModelVersionNotFoundException"),
        ("/predictions/zfnet/%2e", 404, "ModelVersionNotFoundException"),
        ("/predictions", 404, NO_ROUTE),
        ("/etc/passwd", 404, NO_ROUTE),
        ("/static/%2e%2e/%2e%2e/etc/passwd", 404, NO_ROUTE),
        ("/wp-login.php", 404, NO_ROUTE),
        ("/v1/models/alexnet:predict", 404, NO_MODEL),
        ("/v2/models/alexnet/infer", 404, NO_MODEL),
        ("/" + "a" * 5000, 400, NO_HTTP),
        (f"/predictions/zfnet/{package_version()}", 200, None),
        (f"/predictions/zfnet/{package_version()}/%2e%2e/etc/passwd", 200, None),
        ("/predictions/zfnet?top_k=0&url=file:///etc/passwd", 200, None),
    ):
        yield Case(f"{path:.40}", status, code, path, SMALL)
    for method in ("PUT", "PATCH", "DELETE", "QUERY"):
        yield Case(f"{method} with a picture", 200, None, PREDICT, SMALL, method=method)
    for method in ("GET", "HEAD", "TRACE"):
        yield Case(f"{method} without one", 400, None if method == "HEAD" else "malformed_body", PREDICT, method=method)


def _types() -> Iterator[Case]:
    for media_type in (
        "text/plain", "application/json", "application/json; charset=utf-16", "image/heic", "video/mp4", "x", "",
        "a/b/c;;;", "application/x-java-serialized-object", "application/x-python-pickle", "multipart/form-data",
        "multipart/mixed; boundary=x",
        "application/octet-stream; q=\"\\", "image/png; charset=\"../../etc/passwd\"",
    ):  # fmt: skip
        yield Case(f"a picture as {media_type!r}", 200, None, PREDICT, SMALL, {"content-type": media_type})
    encoded = {"content-type": "application/x-www-form-urlencoded"}
    yield Case("a picture as a web form", *BAD_FORM, PREDICT, SMALL, encoded)
    yield Case("a web form of a path", 415, "unsupported_image", PREDICT, b"data=/etc/passwd", encoded)
    yield Case("a web form without data", 400, "malformed_body", PREDICT, b"top_k=3", encoded)
    yield Case("a web form of broken escapes", *BAD_FORM, PREDICT, b"data=%zz%f&%=%", encoded)
    yield from _json_as_forms()
    for accept in ("text/plain", "image/*;q=x", "*/*;q=-1", "," * 1000, "~", "application/json;q=0"):
        headers = {"accept": accept, "X-Explain-Methods": "occlusion", "X-Explain-Window": "224"}
        yield Case(f"accept {accept!r:.20}", 200, None, EXPLAIN, SMALL, headers)


def _json_as_forms() -> Iterator[Case]:
    """What curl -d makes of a file of JSON."""
    encoded = {"content-type": "application/x-www-form-urlencoded"}
    told = "the JSON came as a form"
    for name, text in {"padded": B64, "with +": PLUSES}.items():
        document = json.dumps({"instances": [{"data": {"b64": text}}]}).encode()
        yield Case(f"JSON as a form, {name}", 200, None, V1_PREDICT, document, encoded)
        yield Case(f"JSON as a form on a route of pictures, {name}", 200, None, PREDICT, document, encoded)
    many = json.dumps({"instances": [{"data": B64}] * 3, "parameters": {"top_k": 2}}, indent=0).replace("\n", "")
    yield Case("JSON of three as a form", 200, None, V1_PREDICT, many.encode(), encoded)
    parted = json.dumps({"instances": [{"data": B64}], "parameters": {"a&b": 2}}).encode()
    yield Case("JSON with & as a form", 400, "malformed_body", V1_PREDICT, parted, encoded, says=told)
    yield Case("JSON of lines as a form", 400, "malformed_body", PREDICT, b'{"instances":\n[=\n]}', encoded, says=told)


def _forms() -> Iterator[Case]:
    yield form("a form without data", [("picture", SMALL)], 400, "malformed_body", PREDICT)
    yield form("an empty form", [], 400, "malformed_body", PREDICT)
    yield form("a field without a name", [("data", SMALL), ("", "5")], *BAD_FORM, PREDICT)
    yield form("empty data", [("data", b"")], 400, "malformed_body", PREDICT)
    yield form("a field called body", [("body", SMALL)], 400, None, V1_PREDICT)
    yield form("an option that is not text", [("data", SMALL), ("top_k", b"\xff\xfe")], 400, "invalid_option", PREDICT)
    yield form(
        "a thousand fields", [("data", SMALL), *((f"f{i}", "1") for i in range(1000))], 400, "invalid_option", PREDICT
    )
    yield form("a path as data", [("data", "/etc/passwd")], 415, "unsupported_image", PREDICT)
    yield form("a URL as data", [("data", "file:///etc/passwd")], 415, "unsupported_image", PREDICT)
    headers = {"content-type": f"multipart/form-data; boundary={BOUNDARY}"}
    for name, content in {
        "a form cut in a header": f"--{BOUNDARY}\r\nContent-Disp".encode(),
        "a form of another boundary": b"--other\r\n\r\nx\r\n--other--\r\n",
        "a form of lines": b"\r\n" * 1000,
        "an upload by its path": (
            f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="a"; filename="../../../etc/cron.d/x"\r\n\r\n'
            f"* * * * * root id\r\n--{BOUNDARY}--\r\n"
        ).encode(),
    }.items():
        yield Case(name, 400, "malformed_body", PREDICT, content, headers)


def _headers() -> Iterator[Case]:
    for name, headers in {
        "explain": {"explain": "True"},
        "describe": {"describe": "True"},
        "url_path": {"url_path": "../../etc/passwd"},
        "an id with a line's end": {"x-request-id": "a\\nb"},
        "an id of 1,000 letters": {"x-request-id": "a" * 1000},
        "an id to be looked up": {"x-request-id": "${jndi:ldap://127.0.0.1/a}"},
        "agent to be looked up": {"user-agent": "${jndi:ldap://127.0.0.1/a}"},
        "another host": {"host": "evil.example"},
        "forwarded": {"x-forwarded-for": "127.0.0.1", "x-forwarded-host": "evil.example"},
        "a cookie": {"cookie": "a=" + "b" * 4000},
        "a range": {"range": "bytes=0-1"},
        "a condition": {"if-none-match": "*"},
    }.items():
        yield Case(f"header: {name}", 200, None, PREDICT, SMALL, headers)


def _raw(name: str, head: str | bytes, status: int, content: bytes = b"") -> Raw:
    start = b"POST /predictions/zfnet HTTP/1.1\r\nHost: x\r\n"
    return Raw(name, start + (head if isinstance(head, bytes) else head.encode()) + b"\r\n\r\n" + content, status)


CASES = (*_routes(), *_types(), *_forms(), *_headers())
RAW = (
    Raw("no HTTP", b"\0\1\2\3 garbage\r\n\r\n", 400),
    Raw("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(32) + b"\r\n\r\n", 400),
    Raw("another version", b"GET / HTTP/9.9\r\nHost: x\r\n\r\n", 405),
    Raw(
        "an address elsewhere",
        b"POST http://169.254.169.254/latest HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
        404,
    ),
    _raw("chunked and a length", "Transfer-Encoding: chunked\r\nContent-Length: 5", 400, b"0\r\n\r\n"),
    _raw("a chunk without a size", "Transfer-Encoding: chunked", 400, b"zz\r\n"),
    _raw("an encoding that does not exist", "Transfer-Encoding: xchunked\r\nContent-Length: 0", 400),
    _raw("a length of letters", "Content-Length: abc", 400),
    _raw("two lengths", "Content-Length: 3\r\nContent-Length: 5", 400, b"abcde"),
    _raw("a length of 99 GB", "Content-Length: 99999999999", 413),
    _raw("a header of 20 kB", "X-A: " + "a" * 20_000, 400),
    _raw("400 headers", "".join(f"X-A{i}: a\r\n" for i in range(400)) + "Content-Length: 0", 400),
    _raw("a header of bytes", b"X-Explain-Target: \xff\xfe\r\nContent-Length: %d" % len(SMALL), 400, SMALL),
    _raw(
        "a header of control characters", b"X-Explain-Fill: a\1\x1b[2J\r\nContent-Length: %d" % len(SMALL), 400, SMALL
    ),
    _raw("a method of its own", "Content-Length: 1", 415, b"x"),
)
