"""What the gateway lets in, and which pool it goes to."""

import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from zfnet_explainer.wire.options import EXPLAIN_OPTIONS

from ..document import DOCUMENT, SERVED
from ..needs import program
from ..waiting import wait_for
from .conftest import ORIGIN, Pools
from .gateway import EXPLAIN, PREDICT, Gateway, configured, refusal, refusal_v2, write_certificate

METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
DOCUMENTED = {path: {key.upper() for key in keys} & METHODS for path, keys in DOCUMENT["paths"].items()}
ALLOWED = [(method, path) for path in SERVED for method in sorted(DOCUMENTED[path])]
REFUSED = [(method, path) for path, methods in DOCUMENTED.items() for method in sorted(METHODS - methods)]
OPTION_HEADERS = {f"x-explain-{option.replace('_', '-')}" for option in EXPLAIN_OPTIONS}
LIMIT = 28 * 2**20


def untouched(pools: Pools) -> bool:
    return not any(pool.seen for pool in pools.values())


@contextmanager
def connected(gateway: Gateway) -> Iterator[ssl.SSLSocket]:
    """A connection to the gateway, its certificate verified."""
    host, _, port = gateway.url.removeprefix("https://").rpartition(":")
    with (
        socket.create_connection((host, int(port)), timeout=10) as plain,
        gateway.trust.wrap_socket(plain, server_hostname=host) as connection,
    ):
        yield connection


def answered(gateway: Gateway, sent: bytes) -> tuple[bytes, bytes]:
    """Head and body of the answer to these bytes, which may have no end."""
    with connected(gateway) as connection:
        connection.sendall(sent)
        head, _, body = connection.recv(4096).partition(b"\r\n\r\n")
    return head, body


def test_the_deployed_files_are_valid(tmp_path: Path) -> None:
    configured(tmp_path)
    line = [program("envoy"), "--mode", "validate", "-c", str(tmp_path / "envoy.yaml")]
    done = subprocess.run(line, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    assert "OK" in done.stdout
    assert "[warning]" not in done.stderr, "nothing deprecated or unfinished is used"


@pytest.mark.parametrize(("method", "path"), ALLOWED)
def test_every_documented_call_goes_to_its_pool(pools: Pools, alice: httpx.Client, method: str, path: str) -> None:
    answer = alice.request(method, f"{path}?secret=1", content=b"picture" if method != "GET" else b"")
    assert answer.status_code == 200
    pool = "explain" if "expl" in path and method != "GET" else "predict"
    [seen] = pools[pool].seen
    assert (seen.method, seen.path) == (method, path), "without its query"
    assert seen.headers.get("x-explain-secret") == (None if method == "GET" else "1"), "for the server to refuse"
    assert len(pools["predict"].seen + pools["explain"].seen) == 1
    assert seen.headers.get("x-zfnet-client") == (None if method == "GET" else "alice")
    assert "authorization" not in seen.headers or method == "GET"
    assert answer.headers["strict-transport-security"].startswith("max-age=")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert (answer.headers["x-frame-options"], answer.headers["referrer-policy"]) == ("DENY", "no-referrer")


@pytest.mark.parametrize(("method", "path"), REFUSED)
def test_other_methods_are_refused_with_those_it_takes(
    pools: Pools, alice: httpx.Client, method: str, path: str
) -> None:
    answer = alice.request(method, path)
    assert answer.status_code == 405
    assert set(answer.headers["allow"].split(", ")) == DOCUMENTED[path]
    assert method == "HEAD" or said(answer).startswith(f"this route does not take {method}: ")
    assert untouched(pools)


@pytest.mark.parametrize(
    "path",
    [
        "/invocations",
        "/models/zfnet/invoke",
        "/models",
        "/zfnet/predict",
        "/workflows",
        "/wfpredict/zfnet",
        "/api-description",
        "/metrics",
        "/stats",
        "/predictions/alexnet",
        "/predictions/zfnet/",
        "/predictions/zfnet/1.0",
        "/explanations/zfnet/1.0/deconv/5",
        "/v1/models",
        "/v1/models/alexnet",
        "/v2/",
        "/v2/models",
        "/v2/models/zfnet/infer/x",
        "/v2/models/zfnet/versions/1.0.0/infer",
        "/ping/../models",
    ],
)
def test_no_other_route_is_open(pools: Pools, alice: httpx.Client, path: str) -> None:
    for method in ("GET", "POST"):
        answer = alice.request(method, path, content=b"" if method == "GET" else b"picture")
        assert answer.status_code == 404
        assert said(answer) == "there is no such route: deploy/openapi.yaml lists them"
    assert untouched(pools)


def said(answer: httpx.Response) -> str:
    """What a refusal says, in the shape of the route's protocol."""
    return refusal_v2(answer) if f"{answer.request.url.path}/".startswith("/v2/") else refusal(answer)["message"]


def test_an_escaped_slash_hides_no_path(pools: Pools, alice: httpx.Client) -> None:
    answer = alice.post("/predictions%2fzfnet", content=b"picture")
    assert (answer.status_code, refusal(answer)["code"]) == (400, "malformed_body")
    assert untouched(pools)


def test_no_header_of_torchserves_own_comes_in(pools: Pools, alice: httpx.Client) -> None:
    alice.post(PREDICT, content=b"picture", headers={"url_path": "deconv/5"})
    assert "url_path" not in pools["predict"].seen[0].headers


def test_health_and_the_page_need_no_token(gateway: Gateway, pools: Pools) -> None:
    with gateway.client(None) as anybody:
        assert anybody.get("/ping").status_code == 200
        assert anybody.get(EXPLAIN).status_code == 200
        for body in (b"picture", iter([b"picture", bytes(2**21)])):
            assert anybody.request("GET", EXPLAIN, content=body).status_code == 200
        assert anybody.post("/ping").status_code == 401
    assert [seen.body for seen in pools["predict"].seen] == [b""] * 4, "nobody explains without a token"
    assert "transfer-encoding" not in pools["predict"].seen[-1].headers
    assert not pools["explain"].seen


@pytest.mark.parametrize(
    "framing",
    [b"Content-Length: 1000\r\n\r\nhalf", b"Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"],
    ids=["length", "chunked"],
)
def test_nobody_waits_for_the_body_of_a_get(gateway: Gateway, pools: Pools, framing: bytes) -> None:
    head, body = answered(gateway, b"GET /predictions/zfnet HTTP/1.1\r\nHost: zfnet\r\n" + framing)
    assert head.startswith(b"HTTP/1.1 401")
    assert b'"code":"unauthenticated"' in body
    assert untouched(pools)


def test_bodies_have_a_limit(pools: Pools, alice: httpx.Client) -> None:
    assert alice.post(PREDICT, content=bytes(LIMIT)).status_code == 200
    [seen] = pools["predict"].seen
    assert len(seen.body) == LIMIT
    for body in (bytes(LIMIT + 1), iter([bytes(LIMIT), b"x"])):
        answer = alice.post(PREDICT, content=body)
        assert (answer.status_code, refusal(answer)["code"]) == (413, "too_large")
    assert len(pools["predict"].seen) == 1


def test_only_listed_origins_may_call(gateway: Gateway, pools: Pools) -> None:
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    with gateway.client(None) as browser:
        answer = browser.options(PREDICT, headers={"Origin": ORIGIN, **asked})
        assert answer.status_code == 200, "a browser takes nothing else for a yes"
        assert answer.headers["access-control-allow-origin"] == ORIGIN
        allowed = set(answer.headers["access-control-allow-headers"].split(", "))
        named = {"authorization", "content-type", "x-request-id", "inference-header-content-length"}
        assert allowed == named | OPTION_HEADERS
        assert set(answer.headers["access-control-allow-methods"].split(", ")) == {"GET", "POST", "PUT"}
        other = browser.options(PREDICT, headers={"Origin": "https://elsewhere.example.com", **asked})
        assert (other.status_code, "access-control-allow-origin" in other.headers) == (401, False)
    browsers = {"Sec-Fetch-Site": "cross-site", "Cookie": "session=1"}
    with gateway.client() as alice:
        assert alice.options(PREDICT, headers={"Origin": "https://elsewhere.example.com", **asked}).is_error
        answer = alice.post(EXPLAIN, content=b"picture", headers={"Origin": ORIGIN, **browsers})
        assert answer.headers["access-control-allow-origin"] == ORIGIN
        shown = set(answer.headers["access-control-expose-headers"].split(", "))
        assert shown == {"x-request-id", "retry-after", "inference-header-content-length"}
    [seen] = pools["explain"].seen
    assert not {"origin", "sec-fetch-site", "cookie"} & set(seen.headers), "the servers know of no other origin"
    pools["explain"].seen.clear()
    assert untouched(pools)


def test_a_page_of_a_listed_origin_reads_why_an_option_is_refused(alice: httpx.Client) -> None:
    answer = alice.post(f"{EXPLAIN}?window=8&window=8", content=b"picture", headers={"Origin": ORIGIN})
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (400, ORIGIN)


def test_http_1_0_is_answered(gateway: Gateway, pools: Pools) -> None:
    """As nginx asks what stands behind it unless it is told otherwise, and HAProxy's check of a server."""
    token = gateway.tokens["alice"].encode()
    lines = b"Authorization: Bearer " + token + b"\r\nContent-Length: 7\r\n\r\npicture"
    for sent in (b"GET /ping HTTP/1.0\r\n\r\n", b"POST /predictions/zfnet HTTP/1.0\r\n" + lines):
        head, _ = answered(gateway, sent)
        assert head.startswith(b"HTTP/1.0 200")
    assert pools["predict"].seen[-1].body == b"picture"


def test_a_body_in_another_encoding_is_not_asked_for_again(gateway: Gateway) -> None:
    head, body = answered(gateway, b"POST /ping HTTP/1.1\r\nHost: zfnet\r\nTransfer-Encoding: gzip, chunked\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 501")
    assert b"retry-after" not in head
    assert b'"code":"malformed_body"' in body


def test_headers_that_the_gateway_itself_does_not_read_are_named(gateway: Gateway) -> None:
    """Else who sends them is told that this is not HTTP."""
    for lines in (b"X-Other: " + b"x" * 70_000 + b"\r\n", b"".join(b"X-%d: x\r\n" % n for n in range(150))):
        head, body = answered(gateway, b"POST /explanations/zfnet HTTP/1.1\r\nHost: zfnet\r\n" + lines + b"\r\n")
        assert head.startswith(b"HTTP/1.1 431")
        assert b"headers may" in body


def test_what_is_not_http_gets_the_contracts_error(gateway: Gateway) -> None:
    head, body = answered(gateway, b"NONSENSE\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400")
    assert b'"code":"malformed_body"' in body


def test_it_is_no_proxy_to_elsewhere(gateway: Gateway) -> None:
    elsewhere = b"elsewhere.example.com:443"
    head, body = answered(gateway, b"CONNECT " + elsewhere + b" HTTP/1.1\r\nHost: " + elsewhere + b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 405")
    assert b"\r\nallow: GET, POST, PUT\r\n" in head
    assert b'"code":"method_not_allowed"' in body


def test_http_2_is_not_offered(gateway: Gateway) -> None:
    gateway.trust.set_alpn_protocols(["h2", "http/1.1"])
    with connected(gateway) as connection:
        assert connection.selected_alpn_protocol() == "http/1.1"
        assert connection.version() in ("TLSv1.2", "TLSv1.3")


@pytest.mark.parametrize("in_place", [False, True])
def test_a_renewed_certificate_is_taken_up(gateway: Gateway, in_place: bool) -> None:
    def serial() -> object:
        with connected(gateway) as connection:
            return (connection.getpeercert() or {})["serialNumber"]

    before = serial()
    write_certificate(gateway.folder / "tls", gateway.authority, in_place=in_place)
    wait_for(lambda: serial() != before, "the old certificate is still shown")


def test_probes_and_metrics_are_on_a_port_of_their_own(gateway: Gateway) -> None:
    with httpx.Client(base_url=gateway.internal_url, trust_env=False) as internal:
        assert internal.get("/ready").text == "LIVE\n"
        assert "envoy_cluster_upstream_rq" in internal.get("/metrics").text
        assert internal.post("/quitquitquit").status_code == 404
        assert internal.get("/config_dump").status_code == 404
