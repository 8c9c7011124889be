"""What the gateway makes of the servers' answers."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from ..waiting import wait_for
from .conftest import Pools
from .gateway import EXPLAIN, PREDICT, Gateway, refusal
from .upstream import Reply, torchserve_error

LARGEST = 28 * 2**20  # the body that the gateway takes
TORCHSERVE = [
    (torchserve_error(503, "ServiceUnavailableException"), 503, "unavailable", True),
    (torchserve_error(404, "ModelNotFoundException"), 503, "unavailable", True),
    (torchserve_error(400, "InvalidKeyException"), 400, "malformed_body", False),
    (torchserve_error(400, "BadRequestException"), 400, "malformed_body", False),
    (torchserve_error(500, "ErrorDataDecoderException"), 400, "malformed_body", False),
    (torchserve_error(500, "InternalServerException"), 500, "internal_error", False),
    (torchserve_error(507, "InternalServerException"), 500, "internal_error", False),
    (Reply(413, content_type=None, body=b""), 413, "too_large", False),
    (Reply(502, content_type="text/html", body=b"<html>" * 1000), 500, "internal_error", False),
]


@pytest.mark.parametrize(("reply", "status", "code", "wait"), TORCHSERVE)
def test_torchserves_errors_take_the_contracts_shape(
    pools: Pools, alice: httpx.Client, reply: Reply, status: int, code: str, wait: bool
) -> None:
    pools["predict"].reply = pools["explain"].reply = reply
    for path in (PREDICT, EXPLAIN):
        answer = alice.post(path, content=b"picture", headers={"X-Request-Id": "mine"})
        assert (answer.status_code, refusal(answer)["code"]) == (status, code)
        assert refusal(answer)["request_id"] == "mine"
        assert "Internals" not in answer.text
        assert ("retry-after" in answer.headers) == wait
    assert len(pools["explain"].seen) == 1, "an explanation is tried once"
    assert len(pools["predict"].seen) == (2 if reply.status == 503 else 1), "a full queue may be another server's not"


ERROR = b'{"error":{"code":"invalid_option","message":"`x` \xc3\xa4","option":"x","request_id":"1"}}'


@pytest.mark.parametrize("status", [400, 413, 415, 422, 500])
@pytest.mark.parametrize(
    "body",
    [ERROR, b'{"predictions":[%b]}' % ERROR, b'{"explanations":[%b,%b]}' % (ERROR, ERROR)],
    ids=["error", "predictions", "explanations"],
)
def test_the_handlers_errors_pass_as_they_are(pools: Pools, alice: httpx.Client, status: int, body: bytes) -> None:
    """Also those of a V1 request of which every instance fails."""
    pools["predict"].reply = Reply(status, body=body)
    answer = alice.post(PREDICT, content=b"picture")
    assert (answer.status_code, answer.content) == (status, body)
    assert "retry-after" not in answer.headers


def test_a_large_error_inside_an_answer_passes(pools: Pools, alice: httpx.Client) -> None:
    body = b'{"explanations":[{"error":{"code":"too_large"}},' + b'"x",' * 2**20 + b"1]}"
    pools["explain"].reply = Reply(200, body=body)
    assert alice.post("/v1/models/zfnet:explain", content=b"{}").content == body


@pytest.mark.parametrize("size", [7, LARGEST])
def test_a_server_that_hangs_up_is_unavailable_and_explanations_are_not_tried_again(
    pools: Pools, alice: httpx.Client, size: int
) -> None:
    """Also with the largest body: it is kept until the answer comes."""
    pools["explain"].reply = pools["predict"].reply = Reply(status=None)
    for path in (EXPLAIN, PREDICT):
        answer = alice.post(path, content=bytes(size))
        assert (answer.status_code, refusal(answer)["code"]) == (503, "unavailable")
        assert int(answer.headers["retry-after"]) > 0
    assert [len(seen.body) for seen in pools["explain"].seen] == [size]
    assert [len(seen.body) for seen in pools["predict"].seen] == [size] * 2


def test_a_client_names_its_request(pools: Pools, alice: httpx.Client) -> None:
    sane = "Batch_7.picture-0001"
    answer = alice.post(PREDICT, content=b"picture", headers={"X-Request-Id": sane})
    assert answer.headers["x-request-id"] == pools["predict"].seen[0].headers["x-request-id"] == sane


@pytest.mark.parametrize("sent", ["", "a b", 'a"b', "x" * 65, "a,b", "{}"])
def test_other_names_are_replaced(pools: Pools, alice: httpx.Client, sent: str) -> None:
    answers = [alice.post(PREDICT, content=b"picture", headers={"X-Request-Id": sent}) for _ in range(2)]
    made = [answer.headers["x-request-id"] for answer in answers]
    assert [seen.headers["x-request-id"] for seen in pools["predict"].seen] == made
    assert len({sent, *made}) == 3


def logged(gateway: Gateway, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The one line of the access log that is wanted, once it is there."""
    wait_for(lambda: any(map(wanted, gateway.log())), "it is not logged")
    [line] = filter(wanted, gateway.log())
    return line


def test_the_log_says_who_asked_what_and_no_secret(gateway: Gateway, pools: Pools, alice: httpx.Client) -> None:
    alice.post(f"{PREDICT}?password=hunter2", content=b"picture", headers={"X-Request-Id": "logged-1"})

    line = logged(gateway, lambda line: line["request_id"] == "logged-1")
    assert (line["client"], line["method"], line["path"], line["status"]) == ("alice", "POST", PREDICT, 200)
    assert (line["pool"], line["server"]) == ("predict", pools["predict"].address)
    text = (gateway.folder / "access.log").read_text()
    assert "hunter2" not in text
    assert gateway.tokens["alice"] not in text


@pytest.mark.parametrize(("path", "status"), [("/forged%2Fslash", 400), ("/forged", 404)])
def test_nobody_writes_anothers_name_into_the_log(
    gateway: Gateway, alice: httpx.Client, path: str, status: int
) -> None:
    """Also not in a request that is refused before anything but its path is looked at."""
    early = status == 400
    headers = {"X-Request-Id": f"forged-{status}", "X-ZFNet-Client": "mallory"}
    assert alice.get(path, headers=headers).status_code == status
    line = logged(gateway, lambda line: line["path"] == path.replace("%2F", "/"))
    assert (line["client"], line["request_id"]) == ((None, None) if early else ("alice", "forged-404"))
    assert line["connection"] > 0


def test_nobody_takes_anothers_address(gateway: Gateway, alice: httpx.Client) -> None:
    """By which it is counted where no token is asked for."""
    assert alice.get("/from-elsewhere", headers={"X-Forwarded-For": "192.0.2.7"}).status_code == 404
    assert logged(gateway, lambda line: line["path"] == "/from-elsewhere")["address"] == "127.0.0.1"


def test_what_the_log_holds_of_a_request_has_an_end(gateway: Gateway, alice: httpx.Client) -> None:
    path = "/long/" + "x" * 40000
    alice.get(path, headers={"X-Request-Id": "y" * 10000})
    line = logged(gateway, lambda line: str(line["path"]).startswith("/long/"))
    assert line["path"] == path[:256]
    assert len(line["request_id"]) <= 64
